package check

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/killpoint/killpoint/handoff"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/window"
)

// handed is an invariant of a history in which one runtime takes over from
// another.
func handed(name string, check func(*history.History, *handoff.Handoff) Finding) Invariant {
	return Invariant{Name: name, Check: func(h *history.History) Finding {
		d, err := handoff.Read(h)
		if err != nil {
			return undecided("%v", err)
		}
		return check(h, d)
	}}
}

// HandedOver: one runtime took over from another under a stream of at least so
// many requests, some of which were sent while it did. Else the trial proved
// nothing of it. It never fails.
func HandedOver(least int) Invariant {
	return handed("handed-over", func(_ *history.History, d *handoff.Handoff) Finding {
		meanwhile := 0
		for _, r := range d.Requests {
			if r.Phase == handoff.Draining || r.Phase == handoff.Moving {
				meanwhile++
			}
		}
		switch {
		case len(d.Requests) < least:
			return undecided("%d requests were sent, at least %d were to be", len(d.Requests), least)
		case d.Told == 0 || d.Left == 0:
			return undecided("%s was not told to leave, or had not left", d.Old)
		case len(d.Moves) == 0:
			return undecided("no actor ran on %s when it was told to leave", d.Old)
		case meanwhile == 0:
			return undecided("no request was sent while the actors moved")
		}
		return passed("%d actors moved from %s to %s under %d requests, of which %d were sent meanwhile", len(d.Moves), d.Old, d.New, len(d.Requests), meanwhile)
	})
}

// HandoffServes: each request got a good answer within the bound; or, from a
// generation that was told to stop, its actor's own word that it had no effect, or
// had taken effect before. Who got that knows whether to ask again. What a busy
// host may have made slow, or silent, is inconclusive.
func HandoffServes(within time.Duration) Invariant {
	return handed("handoff-serves", func(h *history.History, d *handoff.Handoff) Finding {
		var all findings
		for _, r := range d.Requests {
			all.add(serves(h, r, within))
		}
		return all.sum("%d of %d requests were answered well, the slowest after %v; %d were refused by their actors themselves",
			d.Count(handoff.AtOnce)+d.Count(handoff.Held), len(d.Requests), d.Worst().Took.Round(time.Millisecond), d.Count(handoff.Failed))
	})
}

func serves(h *history.History, r handoff.Request, within time.Duration) Finding {
	own := r.Return.AnsweredBy == r.Actor && (r.Return.Outcome == history.Fail || r.Repeated)
	switch {
	case r.Class == handoff.Open:
		return undecided("%s %s of actor %s has no end", r.Name, r.Op, r.Key)
	case r.Return.Cause == history.CauseStopped:
		return undecided("%s %s of actor %s was ended with the trial", r.Name, r.Op, r.Key)
	case r.Class == handoff.Failed && own && r.Explained:
		return passed("")
	case r.Class != handoff.Failed && r.Took <= within:
		return passed("")
	case slowHost(h, r):
		return undecided("%s %s of actor %s took %v, on a busy host", r.Name, r.Op, r.Key, r.Took.Round(time.Millisecond))
	case r.Class == handoff.Failed:
		return failed(r.Seqs, "%s %s of actor %s, sent %s, got %s: %s", r.Name, r.Op, r.Key, r.Phase, r.Answer(), r.Why)
	}
	return failed(r.Seqs, "%s %s of actor %s, sent %s, was answered only after %v, bound %v", r.Name, r.Op, r.Key, r.Phase, r.Took.Round(time.Millisecond), within)
}

// slowHost: nothing but time went wrong, the client's or the engine's own, and the
// host was too busy for times.
func slowHost(h *history.History, r handoff.Request) bool {
	late := r.Class != handoff.Failed || r.Return.Cause == history.CauseTimeout || r.Return.Status == http.StatusGatewayTimeout
	return late && window.NoiseBetween(h, r.Sent, r.Returned).TooNoisy()
}

// FailuresExplained: of each request that failed the history shows why: from its
// sending to its end its actor was without a generation that served, or that one
// was ended. A failure beside a generation that served all the time is none of
// the handoff's.
func FailuresExplained() Invariant {
	return handed("failures-explained", func(h *history.History, d *handoff.Handoff) Finding {
		all := findings{passed("")} // that none failed is right
		for _, r := range d.Requests {
			switch {
			case r.Class != handoff.Failed, r.Return.Cause == history.CauseStopped:
			case r.Explained:
				all.add(passed(""))
			case slowHost(h, r):
				all.add(undecided("%s %s of actor %s got %s, on a busy host, although %s", r.Name, r.Op, r.Key, r.Answer(), r.Why))
			default:
				all.add(failed(r.Seqs, "%s %s of actor %s, sent %s, got %s although %s", r.Name, r.Op, r.Key, r.Phase, r.Answer(), r.Why))
			}
		}
		return all.sum("%d requests failed, each while its actor had no generation that served", len(all)-1)
	})
}

// StartsFollowRoute: no generation began on a runtime that was told to leave when
// another was there to take it.
func StartsFollowRoute() Invariant {
	return handed("starts-follow-route", func(_ *history.History, d *handoff.Handoff) Finding {
		if d.Told == 0 {
			return undecided("%s was not told to leave", d.Old)
		}
		if len(d.Late) > 0 {
			return failed(d.Late, "%d generations began on %s although it had been told to leave, and new calls went to %s", len(d.Late), d.Old, d.New)
		}
		return passed("no generation began on %s after it was told to leave", d.Old)
	})
}

// OldRuntimeLeaves: the runtime that was replaced left by itself, with that code
// and within so long of its stop signal.
func OldRuntimeLeaves(code int, within time.Duration) Invariant {
	return handed("old-runtime-leaves", func(h *history.History, d *handoff.Handoff) Finding {
		signal := stopSignal(h, d.Old)
		switch took := d.Left.Sub(signal.t); {
		case signal.t == 0 || d.Left == 0:
			return undecided("%s was not stopped, or had not left", d.Old)
		case d.Exit.GraceEnded:
			return failed([]uint64{signal.seq}, "%s had not left when its grace ended, %v after its signal", d.Old, took.Round(time.Millisecond))
		case d.Exit.Code != code:
			return failed([]uint64{signal.seq}, "%s left with code %d, not %d", d.Old, d.Exit.Code, code)
		case took > within:
			return failed([]uint64{signal.seq}, "%s left %v after its signal, bound %v", d.Old, took.Round(time.Millisecond), within)
		default:
			return passed("%s left %v after its signal, with code %d", d.Old, took.Round(time.Millisecond), code)
		}
	})
}

// stopSignal is when the stop of that party began.
func stopSignal(h *history.History, party string) mark {
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Fault)
		if ok && b.Target == party && b.Kind == "stop" && b.Phase == history.FaultBegun {
			return mark{e.T, e.Seq}
		}
	}
	return mark{}
}

// UpgradeEvicts: when a runtime of a higher version appears, the engine closes the
// connections of the older ones, as if another process had taken their place
// (pegboard: envoy::drain sends ToEnvoyConnClose, which pegboard-envoy's
// tunnel_to_ws_task ends as an eviction). Their client neither stops its actors in
// order nor reconnects, and the engine does not strike an evicted runtime off its
// list, so that each actor waits until the runtime counts as lost.
var UpgradeEvicts = KnownBug{
	Name:  "upgrade-evicts",
	Says:  "a version upgrade closes the older runtime's connection instead of draining it, and its actors are unreachable",
	Ends:  "the engine's envoy_lost_threshold, 15 s, and its next look at the actor",
	Sees:  []string{"handoff-serves"},
	Hides: append(slices.Clone(unreachable), "handoff-serves"), // on a busy host
	Mark:  evictedActors,
}

// evictedActors are those that a runtime ended because its connection was closed
// as evicted, without the engine having told them to stop.
func evictedActors(h *history.History) map[string][]uint64 {
	struck := map[string][]uint64{}
	evicted, told := map[string]mark{}, map[string]clock.Mono{}
	for _, e := range h.ByTime() {
		switch b := e.Body.(type) {
		case *history.Envoy:
			if b.What == "evicted" {
				evicted[e.Party] = mark{e.T, e.Seq}
			}
		case *history.Actor:
			life := fmt.Sprintf("%s %s %d", e.Party, b.Actor, b.Generation)
			switch b.What {
			case "stop", "sleep", "lost":
				told[life] = e.T
			case "abort":
				if m := evicted[e.Party]; m.t != 0 && told[life] == 0 {
					struck[b.Actor] = append(struck[b.Actor], m.seq, e.Seq)
				}
			}
		}
	}
	return struck
}

// KilledTogether: of the first engine and the first runtime that were killed, the
// runtime got its signal by gap later, or by as much earlier where gap is below zero,
// and no more than slack off that. Else the trial proved nothing of deaths in that
// order. It never fails.
func KilledTogether(gap, slack time.Duration) Invariant {
	return Invariant{Name: "killed-together", Check: func(h *history.History) Finding {
		exits := map[string]*history.Exit{}
		for _, e := range h.ByTime() {
			b, ok := e.Body.(*history.Exit)
			if ok && b.By == "harness" && b.Signal == "SIGKILL" && exits[b.Role] == nil {
				exits[b.Role] = b
			}
		}
		engine, runtime := exits["engine"], exits["runtime"]
		if engine == nil || runtime == nil {
			return undecided("not both were killed")
		}
		apart := runtime.SignalT.Sub(engine.SignalT)
		if off := apart - gap; max(off, -off) > slack {
			return undecided("the runtime's signal was sent %v after the engine's, not %v, by more than %v", apart, gap, slack)
		}
		return passed("the runtime's signal was sent %v after the engine's", apart)
	}}
}
