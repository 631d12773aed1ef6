package report

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// partyLog is what the history has of the output of one incarnation of a
// container. What a runtime says of itself is an event, and not in it.
type partyLog struct {
	role        string
	incarnation int
	lines       []logLine
	exit        *history.Exit // nil where none was recorded
}

type logLine struct {
	t            clock.Mono
	stream, text string
}

func (l *partyLog) party() string { return fmt.Sprintf("%s#%d", l.role, l.incarnation) }

// file is the name of its file in the trial's folder. A role is a word of the
// history, which may come from anywhere: no part of it may be a path.
func (l *partyLog) file() string {
	role := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, l.role)
	return fmt.Sprintf("%s-%d.log", role, l.incarnation)
}

const sandbox = "sandbox"

// readLogs are the logs of all incarnations that the history knows: those of
// the engine, then the runtime's, then others. The sandboxes of the rig are none:
// they share a name, live once, and have nothing to say.
func readLogs(h *history.History) []*partyLog {
	var logs []*partyLog
	at := func(role string, incarnation int) *partyLog {
		for _, l := range logs {
			if l.role == role && l.incarnation == incarnation {
				return l
			}
		}
		logs = append(logs, &partyLog{role: role, incarnation: incarnation})
		return logs[len(logs)-1]
	}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Log:
			if b.Role == sandbox {
				continue
			}
			l := at(b.Role, b.Incarnation)
			l.lines = append(l.lines, logLine{e.T, b.Stream, b.Line})
		case *history.Container:
			if b.What == history.ContainerStarted && b.Role != sandbox {
				at(b.Role, b.Incarnation)
			}
		case *history.Exit:
			if b.Role != sandbox {
				at(b.Role, b.Incarnation).exit = b
			}
		}
	}
	rank := map[string]int{"engine": -2, "runtime": -1}
	slices.SortStableFunc(logs, func(a, b *partyLog) int {
		return cmp.Or(cmp.Compare(rank[a.role], rank[b.role]), cmp.Compare(a.role, b.role), cmp.Compare(a.incarnation, b.incarnation))
	})
	return logs
}

// writeLogs writes each log that has a line to a file of its own in dir.
// Times are as in the failure's text.
func writeLogs(dir string, logs []*partyLog, origin clock.Mono) error {
	var errs []error
	for _, l := range logs {
		if len(l.lines) == 0 {
			continue
		}
		var b strings.Builder
		for _, line := range l.lines {
			fmt.Fprintf(&b, "%s  %s  %s\n", offset(line.t, origin), line.stream, line.text)
		}
		if err := os.WriteFile(filepath.Join(dir, l.file()), []byte(b.String()), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("write the log of %s: %w", l.party(), err))
		}
	}
	return errors.Join(errs...)
}

// shownLines of a log are printed around a failure, laterLines of them from
// after it: a panic's report goes on after its first line.
const (
	shownLines = 10
	laterLines = 3
)

// around are the lines to print for a failure at that instant, and how many
// there are before and after them.
func (l *partyLog) around(at clock.Mono) (before int, lines []logLine, after int) {
	n := len(l.lines)
	upTo, _ := slices.BinarySearchFunc(l.lines, at+1, func(line logLine, t clock.Mono) int { return cmp.Compare(line.t, t) })
	end := min(upTo+laterLines, n)
	begin := max(0, end-shownLines)
	end = min(begin+shownLines, n)
	return begin, l.lines[begin:end], n - end
}

// ending says how the incarnation ended, and how much of its log is kept.
func (l *partyLog) ending() string {
	end, wrote := "no exit recorded", ""
	if l.exit != nil {
		end, wrote = exitWords(l.exit), fmt.Sprintf(" (it wrote %d)", l.exit.LogLines)
	}
	return fmt.Sprintf("%s: log lines kept: %d%s", end, len(l.lines), wrote)
}

// head says of whom it is, too, and where.
func (l *partyLog) head(dir string) string {
	head := fmt.Sprintf("%s, %s", l.party(), l.ending())
	if len(l.lines) == 0 {
		return head
	}
	return head + ": " + filepath.Join(dir, l.file())
}

func (l *partyLog) text(b *strings.Builder, dir string, at, origin clock.Mono) {
	fmt.Fprintf(b, "    %s\n", l.head(dir))
	before, lines, after := l.around(at)
	if before > 0 {
		fmt.Fprintf(b, "      (%d earlier)\n", before)
	}
	for _, line := range lines {
		fmt.Fprintf(b, "      %s  %s  %s\n", offset(line.t, origin), line.stream, cut(oneLine(line.text)))
	}
	if after > 0 {
		fmt.Fprintf(b, "      (%d later)\n", after)
	}
}
