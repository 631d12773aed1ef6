package handoff

import (
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// why tells what the request's actor went through from its sending to its end,
// and whether that explains that it failed.
func (d *Handoff) why(r *Request) (text string, explained bool) {
	var said []string
	served := false
	for _, l := range d.lives[r.Actor] {
		if l.start > r.Returned || d.end(l) != 0 && d.end(l) < r.Sent {
			continue
		}
		words, whole := d.during(l, r)
		said, served = append(said, words...), served || whole
	}
	if len(said) == 0 {
		said = append(said, d.nobody(r))
	}
	return strings.Join(said, ", "), !served
}

// during are the turns of a generation's life while the request was open; whole:
// it served from the request's sending to its end.
func (d *Handoff) during(l *life, r *Request) (said []string, whole bool) {
	who := fmt.Sprintf("generation %d on %s", l.generation, l.party)
	whole = l.running != 0 && l.running <= r.Sent
	if whole {
		who += " served"
	}
	if l.told != 0 && l.told < r.Sent {
		who += fmt.Sprintf(" and had been told to stop (%s) %s before", l.reason, ms(r.Sent.Sub(l.told)))
		whole = false
	}
	said = []string{who}
	turn := func(t clock.Mono, format string, args ...any) {
		if t > r.Sent && t <= r.Returned {
			said = append(said, fmt.Sprintf(format+" after %s", append(args, ms(t.Sub(r.Sent)))...))
			whole = false
		}
	}
	turn(l.running, "ran")
	turn(l.told, "was told to stop (%s)", l.reason)
	turn(l.aborted, "was aborted (%s)", l.failure)
	turn(l.stopped, "had ended")
	if l.stopped == 0 && l.party == d.Old {
		turn(d.Left, "its process had died")
	}
	return said, whole
}

// nobody says since when the actor had no generation.
func (d *Handoff) nobody(r *Request) string {
	var last *life
	for _, l := range d.lives[r.Actor] {
		if end := d.end(l); end != 0 && end <= r.Sent {
			last = l
		}
	}
	if last == nil {
		return "no generation of its actor is known"
	}
	return fmt.Sprintf("no generation served: %d on %s had ended %s before", last.generation, last.party, ms(r.Sent.Sub(d.end(last))))
}

// Answer is what a failed request got, in words.
func (r Request) Answer() string {
	b := r.Return
	switch {
	case r.Class == Open:
		return "nothing yet"
	case b.Cause == history.CauseTimeout:
		return "silence until its patience ended"
	case b.Cause == history.CauseRefused:
		return "no connection, or one that was closed"
	case b.Cause == history.CauseReset:
		return "an answer that broke off"
	case b.Status != 0:
		return strings.TrimSpace(fmt.Sprintf("%d %s", b.Status, b.Code))
	}
	return strings.TrimSpace(string(b.Cause) + " " + b.Code)
}

// ms is a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
