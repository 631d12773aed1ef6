package scenario

import "fmt"

// NeedsFixture says why the scenario cannot be carried out with a runtime that is
// not the fixture, or "". Any runtime will do whose actors are called "counter"
// and know the actions tick, getCount and ledger.
func (s Scenario) NeedsFixture() string {
	for _, p := range s.Parts {
		switch p.(type) {
		case underLoad, oneWrite:
		case commitHeld, stopHeld, starting, interrupted, slowAnswer, runtimeKilled, connectionCut:
			return fmt.Sprintf("%v: only the fixture has breakpoints to hold it", p)
		default:
			return fmt.Sprintf("%v: only the fixture's actors do that", p)
		}
	}
	for _, k := range s.strikes() {
		if _, _, ok := k.at.AtBreakpoint(); ok {
			return fmt.Sprintf("%v: only the fixture has breakpoints", k.at)
		}
	}
	if _, _, held := s.At.AtBreakpoint(); held {
		return fmt.Sprintf("%v: only the fixture has breakpoints", s.At)
	}
	switch {
	case s.Reconnect != "" && s.Reconnect != "rivet":
		return fmt.Sprintf("only the fixture has a reconnect policy %q", s.Reconnect)
	case s.Heartbeat != "" && s.Heartbeat != "none":
		return fmt.Sprintf("only the fixture's actors beat (%s)", s.Heartbeat)
	case s.Protocol != 0:
		return fmt.Sprintf("only the fixture can be told to speak protocol %d", s.Protocol)
	case len(s.RuntimeEnv) > 0:
		return "it sets what only the fixture knows"
	}
	return ""
}
