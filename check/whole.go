package check

import (
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// endedBefore: the trial was cut short, by Ctrl-C, a kill of the harness or a step that
// failed, before then. What had not come by its end may have been on its way.
func endedBefore(h *history.History, until clock.Mono) bool {
	_, last := h.Span()
	return !h.Complete() && last < until
}
