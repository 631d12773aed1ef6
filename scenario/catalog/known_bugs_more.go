package catalog

import (
	"time"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/containers"
	"github.com/killpoint/killpoint/probe"
	"github.com/killpoint/killpoint/scenario"
	"github.com/killpoint/killpoint/workload"
)

// noSweep is for scenarios without a fault on the engine: only their parts ask.
var noSweep = probe.Sweep{Timeout: time.Second, Bound: 15 * time.Second}

// moreReproductions are those that strike something else than the engine.
var moreReproductions = []reproduction{
	// Half of a transaction.
	{
		bug: check.HalfTransaction, behaviour: "rescheduled between two writes", shows: always,
		seenBy:   CounterInvariants(),
		scenario: func() scenario.Scenario { return interrupted(scenario.OrderReschedule) },
	},
	{
		bug: check.HalfTransaction, behaviour: "put to sleep between two writes", shows: always,
		seenBy:   CounterInvariants(),
		scenario: func() scenario.Scenario { return interrupted(scenario.OrderSleep) },
	},
	{
		bug: check.HalfTransaction, behaviour: "left alone between two writes", shows: never,
		seenBy:   CounterInvariants(),
		scenario: func() scenario.Scenario { return interrupted(scenario.OrderNone) },
	},
	// A request delivered twice. The time after which the gateway gives up is
	// 5 min unless it is set.
	{
		bug: check.DeliveredTwice, behaviour: "answers later than the gateway waits", shows: always,
		seenBy: []check.Invariant{check.DeliveredOnce()},
		scenario: func() scenario.Scenario {
			return alone(scenario.SlowAnswer(3*time.Second), containers.EngineConfig{
				Extra: map[string]any{"pegboard": map[string]any{"gateway_response_start_timeout_ms": 2000}},
			})
		},
	},
	{
		bug: check.DeliveredTwice, behaviour: "answers sooner than the gateway waits", shows: never,
		seenBy:   []check.Invariant{check.DeliveredOnce()},
		scenario: func() scenario.Scenario { return alone(scenario.SlowAnswer(3*time.Second), containers.EngineConfig{}) },
	},
	// After the connection's end the gateway tries some nine times, which takes it
	// half a second: whether the runtime is back by then is the machine's matter.
	{
		bug: check.DeliveredTwice, behaviour: "runtime killed after the COMMIT", shows: sometimes,
		seenBy: []check.Invariant{check.DeliveredOnce()},
		scenario: func() scenario.Scenario {
			return alone(scenario.RuntimeKilled(scenario.AfterCommit), containers.EngineConfig{})
		},
	},
	// What was not carried out may well come again.
	{
		bug: check.DeliveredTwice, behaviour: "runtime killed before the COMMIT", shows: never,
		seenBy: []check.Invariant{check.DeliveredOnce()},
		scenario: func() scenario.Scenario {
			return alone(scenario.RuntimeKilled(scenario.BeforeCommit), containers.EngineConfig{})
		},
	},
	// Rivet's own policy: the answer must fall between two connections.
	{
		bug: check.AnswerDropped, behaviour: "drops answers", shows: always,
		seenBy:   []check.Invariant{check.AnswersAreNotLost(3 * time.Second)},
		scenario: func() scenario.Scenario { return connectionCut("true") },
	},
	{
		bug: check.AnswerDropped, behaviour: "sends answers after the reconnect", shows: never,
		seenBy:   []check.Invariant{check.AnswersAreNotLost(3 * time.Second)},
		scenario: func() scenario.Scenario { return connectionCut("false") },
	},
	{
		bug: check.GenerationsSpent, behaviour: "runtime down for 2 s, clients ask", shows: always,
		seenBy: []check.Invariant{check.GenerationsInStep(3)},
		scenario: func() scenario.Scenario {
			return alone(scenario.RuntimeDown{For: 2 * time.Second, Asked: true}, containers.EngineConfig{})
		},
	},
	{
		bug: check.GenerationsSpent, behaviour: "runtime down for 10 s, clients ask", shows: always, long: true,
		seenBy: []check.Invariant{check.GenerationsInStep(3)},
		scenario: func() scenario.Scenario {
			return alone(scenario.RuntimeDown{For: 10 * time.Second, Asked: true}, containers.EngineConfig{})
		},
	},
	{
		bug: check.GenerationsSpent, behaviour: "runtime down for 10 s, nobody asks", shows: never,
		seenBy: []check.Invariant{check.GenerationsInStep(3)},
		scenario: func() scenario.Scenario {
			return alone(scenario.RuntimeDown{For: 10 * time.Second}, containers.EngineConfig{})
		},
	},
	// With a quarter of a core as its share.
	{
		bug: check.LoadShedding, behaviour: "sheds load", shows: always, long: true,
		seenBy:   []check.Invariant{check.CreatesWithin(5 * time.Second)},
		scenario: func() scenario.Scenario { return creating(containers.LoadSheddingEngine) },
	},
	{
		bug: check.LoadShedding, behaviour: "sheds no load", shows: never,
		seenBy:   []check.Invariant{check.CreatesWithin(5 * time.Second)},
		scenario: func() scenario.Scenario { return creating(containers.LoadSheddingOff) },
	},
}

// alone is the part without a fault on the engine.
func alone(p scenario.Part, engine containers.EngineConfig) scenario.Scenario {
	return scenario.Scenario{Reconnect: "fast", Sweep: noSweep, EngineConfig: engine, Parts: []scenario.Part{p}}
}

func interrupted(by scenario.Order) scenario.Scenario {
	return alone(scenario.Interrupted(by), containers.EngineConfig{})
}

func connectionCut(drops string) scenario.Scenario {
	s := alone(scenario.ConnectionCut(4*time.Second), containers.EngineConfig{})
	s.Reconnect = "rivet"
	s.RuntimeEnv = map[string]string{"KILLPOINT_FIXTURE_DROP_ANSWERS": drops}
	return s
}

func creating(shedding containers.LoadShedding) scenario.Scenario {
	return alone(scenario.Creating{
		Load:  workload.Load{Actors: 4, Clients: 3, Pause: 5 * time.Millisecond, Timeout: 10 * time.Second},
		After: 4 * time.Second, Most: 4, Patience: 8 * time.Second,
	}, containers.EngineConfig{
		LoadShedding: shedding,
		Extra:        map[string]any{"runtime": map[string]any{"worker_cpu_max": 250}},
	})
}
