package report

import (
	"fmt"
	"strings"
)

// summaryLimit is how large a summary gets, in bytes: a job of GitHub's CI takes
// 1 MiB in all, and whatever else it shows needs room, too.
const summaryLimit = 1000 << 10

// summary is a summary in its parts, so that what matters less can be left out
// where not all of it fits.
type summary struct {
	head, tail string   // of the run
	trials     []string // a part for each
	first      []bool   // those that somebody has to look after
}

// within is all of it, or as much as fits into so many bytes: the run's own part,
// then the trials that did not pass, then the others, in the order that they have
// in the whole. Its last line says what is left out.
func (s summary) within(limit int) string {
	if all := s.head + strings.Join(s.trials, "") + s.tail; len(all) <= limit {
		return all
	}
	const note = "\n%d of %d trials are left out here, and what does not fit of others, because a summary is held to %d KiB: report.html has all of it.\n"
	room := limit - len(note) - 64
	head := cutMarkdown(s.head, room/2)
	tail := cutMarkdown(s.tail, room/4)
	room -= len(head) + len(tail)
	kept, left := make([]string, len(s.trials)), len(s.trials)
	for _, wanted := range []bool{true, false} {
		for i, part := range s.trials {
			if s.first[i] != wanted {
				continue
			}
			// One must not take the room of all.
			part = cutMarkdown(part, min(room, limit/8))
			if part != "" {
				kept[i], room, left = part, room-len(part), left-1
			}
		}
	}
	return head + strings.Join(kept, "") + tail + fmt.Sprintf(note, left, len(s.trials), limit>>10)
}

// cutMarkdown cuts at the end of a line, and ends the block of code that it cuts.
// Of what would hold nothing but its own heading nothing is kept.
func cutMarkdown(text string, room int) string {
	if len(text) <= room {
		return text
	}
	const cut = "(cut here)\n"
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		if b.Len()+len(line)+2*len(fence)+len(cut)+16 > room {
			break
		}
		b.WriteString(line)
		if ticks := strings.TrimRight(line, "\n"); strings.HasPrefix(ticks, "```") && strings.Trim(ticks, "`") == "" {
			if fence == "" {
				fence = ticks
			} else if ticks == fence {
				fence = ""
			}
		}
	}
	if strings.Count(b.String(), "\n") < 4 {
		return ""
	}
	if fence != "" {
		b.WriteString(fence + "\n")
	}
	b.WriteString("\n" + cut)
	return b.String()
}
