package check

import (
	"slices"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/window"
)

// LoadWhenStruck: before the first fault on the engine began, a write of the
// load's, named write, had returned from each of the actors of those keys, and
// between that and the engine's death at least one operation on them was under
// way. Else the trial proved nothing of an engine under load. It never fails.
func LoadWhenStruck(write string, keys ...string) Invariant {
	return Invariant{Name: "load-when-struck", Check: func(h *history.History) Finding {
		o, err := window.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		returned, open := loadAt(h, o, write, keys)
		for _, key := range keys {
			if returned[key] < 2 { // the first is the one that warmed it
				return undecided("no write of the load had returned from actor %s when the fault began", key)
			}
		}
		if open == 0 {
			return undecided("no operation of the load was under way when the fault landed")
		}
		return passed("%d operations of the load were under way between the fault and its landing", open)
	}}
}

// loadAt counts the writes of each key that returned before the fault began,
// however they ended, and the operations on the actors that were under way at some time
// between that and the engine's death.
func loadAt(h *history.History, o *window.Outage, write string, keys []string) (returned map[string]int, open int) {
	returned = map[string]int{}
	pending := map[string]*history.Invoke{}
	died := o.Strikes[0].ExitT
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Invoke:
			if slices.Contains(keys, b.Key) && e.T <= died {
				pending[b.Op] = b
			}
		case *history.Return:
			inv := pending[b.Op]
			switch {
			case inv == nil:
			case e.T >= o.FaultT:
				open++
			case inv.Name == write:
				returned[inv.Key]++
			}
			delete(pending, b.Op)
		}
	}
	return returned, open + len(pending)
}
