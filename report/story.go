package report

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// story is what the page tells of a history, whatever its verdict. It is taken
// when the history is read, so that the page of a run need not read all of them
// once more, and none is kept: its events are in block, a tenth of their size.
type story struct {
	header   history.Header
	settings []setting
	plan     []*planStep
	events   int
	span     time.Duration
	start    clock.Mono // the first event
	phases   []window.Part
	block    block
	// unreadable says from where on the history could not be read, "" where all of it was.
	unreadable string
}

// setting is one of the effective settings, in words.
type setting struct{ Name, Value string }

// tell takes the story of a history, as far as it was read.
func tell(h *history.History, logs []*partyLog, o *window.Outage, unreadable error) (*story, error) {
	start, last := h.Span()
	s := &story{
		header: h.Header, settings: readSettings(h), plan: readPlan(h), events: len(h.Events), start: start, span: last.Sub(start),
	}
	if o != nil {
		s.phases = window.Phases(h, o)
	}
	if unreadable != nil {
		s.unreadable = unreadableText(unreadable, len(h.Events))
	}
	var err error
	if len(h.Events) > 0 {
		s.block, err = newBlock(h, logs)
	}
	return s, err
}

func unreadableText(err error, events int) string {
	var line *history.LineError
	if !errors.As(err, &line) {
		return headline(err.Error())
	}
	return fmt.Sprintf("The history cannot be read from its line %d on (%s). Shown are the %d events before it.", line.Line, headline(line.Err.Error()), events)
}

// readSettings are those that the scenario asked for and then the cell's. A later
// one of the same name is the effective one.
func readSettings(h *history.History) []setting {
	all := history.Settings{}
	for _, e := range h.Events {
		if b, ok := e.Body.(*history.Settings); ok {
			maps.Copy(all, *b)
		}
	}
	var out []setting
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, ok := all[name].(string)
		if !ok {
			text = value(all[name])
		}
		if name == "seed" {
			text = seed(h) // exact
		}
		out = append(out, setting{name, cutAt(strings.TrimSpace(text), widestLog)})
	}
	return out
}
