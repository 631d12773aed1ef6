package check_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

// outage builds histories of engines that come and go under actors.
type outage struct {
	ht.Builder
	engines int
}

// started adds an engine that is healthy 200 ms later.
func (o *outage) started(ms int) *outage {
	o.engines++
	o.At(ms, history.KindContainer, &history.Container{Role: "engine", Incarnation: o.engines, What: history.ContainerStarting})
	o.At(ms+200, history.KindHealth, &history.Health{What: "ok"})
	return o
}

// struck adds a fault, and the exit 50 ms later.
func (o *outage) struck(ms int, kind string) *outage {
	e := history.Exit{Role: "engine", Incarnation: o.engines, Signal: "SIGTERM", By: "harness"}
	if kind == "kill" {
		e.Signal, e.Code = "SIGKILL", 137
	}
	target := []string{"", "engine#1", "engine#2", "engine#3"}[o.engines]
	o.At(ms, history.KindFault, &history.Fault{Kind: kind, Target: target, Phase: history.FaultBegun})
	o.At(ms+50, history.KindExit, &e)
	return o
}

// link adds a change of the runtime's connection.
func (o *outage) link(ms int, what string) *outage {
	o.At(ms, history.KindEnvoy, &history.Envoy{What: what})
	return o
}

// forgetting has the runtime forget Stopped.
func (o *outage) forgetting(value string) *outage {
	o.At(0, history.KindSettings, &history.Settings{"runtime_env": map[string]any{"KILLPOINT_FIXTURE_FORGET_STOPPED": value}})
	return o
}

// asked adds a probe each second that times out, and from answered on, where
// that is above 0, one that does not.
func (o *outage) asked(actor string, from, until, answered int) *outage {
	for ms := from; ms+1000 <= until; ms += 1000 {
		o.Op(ms, ms+1000, ht.Probe(actor, 0), ht.TimedOut())
	}
	if answered > 0 {
		o.Op(answered-5, answered, ht.Recovery(actor), ht.OK(actor, 2))
	}
	return o
}

// restart is one engine that is struck at 10 s and back at 11 s, under the
// running actors a and b, with the runtime's connection back at 11.3 s.
func restart(kind string) *outage {
	o := &outage{}
	o.started(100).link(900, "init")
	o.Life(500, 600, "a", 1).Life(500, 600, "b", 1)
	o.struck(10_000, kind).link(10_020, "closed").started(11_000).link(11_300, "init")
	return o
}

// life adds a generation that starts and runs.
func (o *outage) life(start int, actor string, generation uint32) *outage {
	o.Life(start, start+50, actor, generation)
	return o
}

// two is the same after a stop, with a second restart two seconds later.
func two(second string) *outage {
	o := restart("stop")
	o.struck(12_000, second).link(12_020, "closed").started(13_000).link(13_300, "init")
	return o
}

// asleep has a told to sleep, and asleep.
func asleep(o *outage, told, stopped int) {
	o.Actor(told, "a", 1, "sleep").Actor(stopped, "a", 1, "stopped")
}

type markCase struct {
	name  string
	build func() *outage
	want  bool // a, and only a, is struck
}

func testMarks(t *testing.T, bug check.KnownBug, cases []markCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			struck := bug.Mark(c.build().End(60_000))
			if !c.want {
				assert.Empty(t, struck)
				return
			}
			require.Len(t, struck, 1)
			assert.NotEmpty(t, struck["a"])
			assert.True(t, slices.IsSorted(struck["a"]))
		})
	}
}

func TestStoppedForgottenMark(t *testing.T) {
	lost := func(forget string, stopped, started, until, answered int) func() *outage {
		return func() *outage {
			o := restart("stop").forgetting(forget)
			asleep(o, 9000, stopped)
			if started > 0 {
				o.Life(started, started+50, "a", 2)
			}
			return o.asked("b", 11_200, 0, 11_260).asked("a", 11_200, until, answered)
		}
	}
	testMarks(t, check.StoppedForgotten, []markCase{
		{"stopped while the engine was away", lost("true", 10_500, 0, 20_000, 0), true},
		{"stopped while the engine was being struck", lost("true", 10_010, 0, 20_000, 0), true},
		{"until the threshold", lost("1", 10_500, 40_000, 40_200, 40_300), true},
		{"stopped before the fault", lost("true", 9900, 0, 20_000, 0), false},
		{"stopped after the reconnect", lost("true", 11_400, 0, 20_000, 0), false},
		{"it was sent again", lost("false", 10_500, 0, 20_000, 0), false},
		{"slow, but started soon", lost("true", 10_500, 14_000, 15_200, 15_300), false},
		{"asked for too short a time", lost("true", 10_500, 0, 16_200, 0), false},
		{"its code still stops", func() *outage {
			o := restart("stop").forgetting("true")
			o.Actor(9000, "a", 1, "sleep")
			return o.asked("a", 11_200, 20_000, 0)
		}, false},
		{"started, and its code takes its time", func() *outage {
			o := restart("stop").forgetting("true")
			asleep(o, 9000, 10_500)
			o.Actor(11_400, "a", 2, "start")
			return o.asked("a", 11_200, 25_000, 0)
		}, false},
		{"the runtime does not come back", func() *outage {
			o := &outage{}
			o.forgetting("true").started(100).link(900, "init")
			o.Life(500, 600, "a", 1)
			o.struck(10_000, "stop").link(10_020, "closed").started(11_000)
			asleep(o, 9000, 10_500)
			return o.asked("a", 11_200, 30_000, 0)
		}, false},
		{"dropped after the lost threshold", func() *outage {
			o := restart("stop")
			o.At(0, history.KindSettings, &history.Settings{"runtime_env": map[string]any{"KILLPOINT_FIXTURE_LOST": "drop"}})
			o.Actor(10_500, "a", 1, "lost").Actor(10_510, "a", 1, "stopped")
			return o.asked("a", 11_200, 20_000, 0)
		}, true},
	})
}

func TestLeaseOutlivesEngineMark(t *testing.T) {
	slept := func(kind string, stopped, started, until, answered int) func() *outage {
		return func() *outage {
			o := restart(kind)
			asleep(o, stopped-10, stopped)
			if started > 0 {
				o.Life(started, started+50, "a", 2)
			}
			return o.asked("b", 11_200, 0, 11_260).asked("a", 11_200, until, answered)
		}
	}
	testMarks(t, check.LeaseOutlivesEngine, []markCase{
		{"just asleep", slept("kill", 9000, 0, 20_000, 0), true},
		{"until the lease ends", slept("kill", 9000, 41_000, 41_200, 41_300), true},
		{"until a start that nobody carried out has had its time", func() *outage {
			return slept("kill", 9000, 0, 71_600, 71_700)().life(71_500, "a", 3)
		}, true},
		{"as long, and no generation was spent", func() *outage {
			return slept("kill", 9000, 0, 71_600, 71_700)().life(71_500, "a", 2)
		}, false},
		{"longer than both last", func() *outage {
			return slept("kill", 9000, 0, 89_100, 89_200)().life(89_000, "a", 3)
		}, false},
		{"asleep for long", slept("kill", 3000, 0, 20_000, 0), false},
		{"longer than a lease lasts", slept("kill", 9000, 0, 59_000, 0), false},
		{"the engine was stopped", slept("stop", 9000, 0, 20_000, 0), false},
		{"slow, but started soon", slept("kill", 9000, 14_000, 15_200, 15_300), false},
		{"killed as the grace had ended", func() *outage {
			o := slept("kill", 9000, 0, 20_000, 0)()
			for _, e := range o.H.Events {
				if exit, ok := e.Body.(*history.Exit); ok {
					exit.GraceEnded = true
				}
			}
			return o
		}, false},
		{"it runs, and does not answer", func() *outage {
			return restart("kill").asked("a", 11_200, 20_000, 0)
		}, false},
		{"it was starting", func() *outage {
			o := restart("kill")
			o.Actor(9500, "c", 1, "start").Actor(11_100, "c", 1, "running")
			return renamed(o.asked("c", 11_200, 20_000, 0))
		}, true},
		{"it was started afterwards", func() *outage {
			o := restart("kill")
			o.Actor(11_350, "c", 1, "start").Actor(11_400, "c", 1, "running")
			return renamed(o.asked("c", 11_200, 20_000, 0))
		}, false},
		{"it was stopping", func() *outage {
			o := restart("kill")
			asleep(o, 9900, 10_500)
			return o.asked("a", 11_200, 20_000, 0)
		}, true},
		{"it was stopping, and its runtime does not come back", func() *outage {
			o := &outage{}
			o.started(100).link(900, "init")
			o.Life(500, 600, "a", 1)
			asleep(o, 9900, 10_500)
			o.struck(10_000, "kill").link(10_020, "closed").started(11_000)
			return o.asked("b", 11_200, 0, 11_260).asked("a", 11_200, 20_000, 0)
		}, false},
		{"lost and stopped by the runtime while the engine was away", func() *outage {
			o := restart("kill")
			o.Actor(10_500, "a", 1, "lost").Actor(10_510, "a", 1, "stopped")
			return o.asked("a", 11_200, 20_000, 0)
		}, true},
		{"its runtime died too", func() *outage {
			o := restart("kill")
			o.Actor(10_100, "b", 1, "stopped")
			o.At(10_200, history.KindExit, &history.Exit{Role: "runtime", Incarnation: 1, Signal: "SIGKILL", Code: 137})
			return o.asked("a", 11_200, 20_000, 0)
		}, true},
		{"asleep for long, but the engine was killed as it had just started", func() *outage {
			o := two("kill")
			asleep(o, 1000, 1010)
			return o.asked("a", 13_250, 22_000, 0)
		}, true},
		{"asleep for long, and the engine was killed when it had run for a while", func() *outage {
			o := restart("stop")
			asleep(o, 1000, 1010)
			o.struck(18_000, "kill").link(18_020, "closed").started(19_000).link(19_300, "init")
			return o.asked("a", 19_250, 30_000, 0)
		}, false},
		{"nothing says that the new engine works", func() *outage {
			o := &outage{}
			o.started(100).link(900, "init")
			o.Life(500, 600, "a", 1)
			asleep(o, 8990, 9000)
			return o.struck(10_000, "kill").link(10_020, "closed").started(11_000).asked("a", 11_200, 20_000, 0)
		}, false},
	})
}

// renamed calls the actor c a, for testMarks.
func renamed(o *outage) *outage {
	for _, e := range o.H.Events {
		switch b := e.Body.(type) {
		case *history.Actor:
			b.Actor = map[string]string{"a": "z", "b": "b", "c": "a"}[b.Actor]
		case *history.Invoke:
			b.Actor = map[string]string{"a": "z", "b": "b", "c": "a"}[b.Actor]
		}
	}
	return o
}

func TestStoppedEngineCountedMark(t *testing.T) {
	ignored := func(second string, started, until, answered int) func() *outage {
		return func() *outage {
			o := two(second)
			o.Actor(13_310, "a", 1, "stop").Actor(13_320, "a", 1, "stopped")
			if started > 0 {
				o.Life(started, started+50, "a", 2)
			}
			return o.asked("b", 13_250, 0, 13_290).asked("a", 13_250, until, answered)
		}
	}
	testMarks(t, check.StoppedEngineCounted, []markCase{
		{"not placed anew after two stops", ignored("stop", 0, 22_000, 0), true},
		{"after a stop and a kill, which leaves leases", ignored("kill", 0, 22_000, 0), false},
		{"until the engines are forgotten", ignored("stop", 35_000, 35_250, 35_300), true},
		{"longer than they are counted", ignored("stop", 0, 58_000, 0), false},
		{"slow, but started soon", ignored("stop", 16_000, 16_250, 17_300), false},
		{"asleep for long", func() *outage {
			o := two("stop")
			asleep(o, 1000, 1010)
			return o.asked("a", 13_250, 22_000, 0)
		}, true},
		{"it runs, and does not answer", func() *outage {
			return two("stop").asked("a", 13_250, 22_000, 0)
		}, false},
		{"it began to run when the engine was leaving", func() *outage {
			o := two("stop")
			o.Stopped(11_400, 11_410, "a", 1).Life(11_500, 12_010, "a", 2)
			return o.asked("a", 13_250, 22_000, 0)
		}, true},
		{"it began to run before", func() *outage {
			o := two("stop")
			o.Stopped(11_400, 11_410, "a", 1).Life(11_500, 11_600, "a", 2)
			return o.asked("a", 13_250, 22_000, 0)
		}, false},
		{"one restart", func() *outage {
			o := restart("stop")
			asleep(o, 1000, 1010)
			return o.asked("a", 11_250, 20_000, 0)
		}, false},
		{"one restart, but the work was shared out anew within the engine", func() *outage {
			o := restart("stop")
			o.At(10_010, history.KindLog, &history.Log{Role: "engine", Incarnation: 1, Line: `level=error message="service exited unexpectedly" service=workflow_worker`})
			asleep(o, 1000, 1010)
			return o.asked("a", 11_250, 20_000, 0)
		}, true},
		{"the first was long ago", func() *outage {
			o := restart("stop")
			asleep(o, 1000, 1010)
			o.struck(32_000, "stop").link(32_020, "closed").started(33_000).link(33_300, "init")
			return o.asked("a", 33_250, 43_000, 0)
		}, false},
	})
}

// What the bugs mark is a failure that is known; an actor beside it that fails
// without a mark is not.
func TestReachBugsAreToldFromOthers(t *testing.T) {
	build := func() *outage {
		o := restart("kill")
		asleep(o, 8990, 9000)
		return o.asked("a", 11_200, 20_000, 0)
	}
	inv := check.AnswersWithin(5 * time.Second)
	known := []check.KnownBug{check.StoppedForgotten, check.LeaseOutlivesEngine, check.StoppedEngineCounted}
	v := check.Judge(build().asked("b", 11_200, 0, 11_260).End(30_000), known, inv)
	assert.Equal(t, check.Known, v.State, v.String())
	assert.Equal(t, []string{"lease-outlives-engine"}, v.First().Bugs)
	v = check.Judge(build().asked("b", 11_200, 20_000, 0).End(30_000), known, inv)
	assert.Equal(t, check.Fail, v.State, v.String())
	v = check.Judge(build().asked("b", 11_200, 0, 11_260).End(30_000), nil, inv)
	assert.Equal(t, check.Fail, v.State, v.String())
}

// A history without an engine, without an end or with nothing in it has no mark.
func TestReachBugsStandAnyHistory(t *testing.T) {
	whole := restart("kill")
	asleep(whole, 8990, 9000)
	h := whole.asked("a", 11_200, 20_000, 0).End(30_000)
	for _, bug := range []check.KnownBug{check.StoppedForgotten, check.LeaseOutlivesEngine, check.StoppedEngineCounted} {
		for n := range h.Events {
			cut := &history.History{Events: h.Events[:n]}
			assert.NotPanics(t, func() { bug.Mark(cut) }, "%s, %d events", bug.Name, n)
		}
		assert.Empty(t, bug.Mark(&history.History{}))
		assert.Empty(t, bug.Mark(&history.History{Events: []history.Event{{Seq: 1, T: clock.Mono(1), Body: &history.Return{Op: "x"}}}}))
	}
}
