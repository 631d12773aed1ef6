package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/history"
	ht "github.com/killpoint/killpoint/internal/historytest"
)

var tickCounter = check.Counter{Write: "tick", Read: "getCount", Ledger: "ledger"}

// refusedWrite is a write of which the second half was carried out, and its
// refused COMMIT, told to the client.
func refusedWrite() *ht.Builder {
	return (&ht.Builder{}).Life(1, 2, "a", 1).
		Op(10, 20, ht.Tick("a", "x"), ht.Count(1)).
		Actor(28, "a", 1, "stop").Write(29, "a", 1, "y", refusedCommit).
		Op(25, 30, ht.Tick("a", "y"), ht.NotApplied("a"))
}

// What a refused transaction can leave is known; what it cannot is a failure,
// also on the actor that it struck.
func TestAHalfTransactionExcusesItsOwnWriteOnly(t *testing.T) {
	read := func(count int, ids ...any) func(*ht.Builder) {
		return func(b *ht.Builder) {
			b.Op(50, 55, ht.Read("a"), ht.Count(count)).Op(60, 65, ht.Ledger("a"), ht.Book(ids...))
		}
	}
	for name, c := range map[string]struct {
		after func(*ht.Builder)
		want  check.State
	}{
		"nothing was left":              {read(1, "x"), check.Pass},
		"it is counted":                 {read(2, "x"), check.Known},
		"it is booked":                  {read(1, "x", "y"), check.Known},
		"both":                          {read(2, "x", "y"), check.Known},
		"it is counted twice":           {read(3, "x", "y"), check.Fail},
		"it is booked twice":            {read(2, "x", "y", "y"), check.Fail},
		"an acknowledged write is lost": {read(2, "y"), check.Fail},
		"an acknowledged one is doubled": {
			read(2, "x", "x"), check.Fail,
		},
		"the count went back": {read(0, "x"), check.Fail},
		"tried again, it is counted twice": {func(b *ht.Builder) {
			b.Op(40, 45, ht.Again("a", "y2", "y"), ht.Count(3))
			read(3, "x", "y")(b)
		}, check.Known},
		"tried again, it is counted three times": {func(b *ht.Builder) {
			b.Op(40, 45, ht.Again("a", "y2", "y"), ht.Count(3))
			read(4, "x", "y")(b)
		}, check.Fail},
		"tried again, it was booked and not counted": {func(b *ht.Builder) {
			b.Op(40, 45, ht.Again("a", "y2", "y"), ht.Repeated("a"))
			read(1, "x", "y")(b)
		}, check.Known},
		"tried again, it was booked and counted once too often": {func(b *ht.Builder) {
			b.Op(40, 45, ht.Again("a", "y2", "y"), ht.Repeated("a"))
			read(3, "x", "y")(b)
		}, check.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			b := refusedWrite()
			c.after(b)
			v := check.Judge(b.End(100), []check.KnownBug{check.HalfTransaction},
				check.LedgerKeeps("tick", "ledger"), tickCounter.Linearizable(time.Second), tickCounter.AppliedOnce())
			assert.Equal(t, c.want, v.State, "%v", v.Findings)
		})
	}
}

// The gateway sends a refused request on again, within the same attempt.
func TestAHalfTransactionThatWasSentOnAgain(t *testing.T) {
	for count, want := range map[int]check.State{1: check.Pass, 2: check.Known, 3: check.Fail} {
		b := (&ht.Builder{}).Actor(28, "a", 1, "stop").Write(29, "a", 1, "x", refusedCommit).
			Op(25, 40, ht.Tick("a", "x"), ht.Count(count)).Write(39, "a", 2, "x", "").
			Op(50, 55, ht.Read("a"), ht.Count(count)).Op(60, 65, ht.Ledger("a"), ht.Book("x"))
		v := check.Judge(b.End(100), []check.KnownBug{check.HalfTransaction}, tickCounter.Linearizable(time.Second), tickCounter.AppliedOnce())
		assert.Equal(t, want, v.State, "%d: %v", count, v.Findings)
	}
}

func TestAStopLongBeforeOrAfterIsNotTheRefusals(t *testing.T) {
	for stop, struck := range map[int]bool{999: false, 1000: true, 11_000: true, 11_001: false} {
		b := (&ht.Builder{}).Actor(stop, "a", 1, "stop").Write(6000, "a", 1, "x", refusedCommit)
		assert.Equal(t, struck, len(check.HalfTransaction.Mark(b.End(20_000))) > 0, stop)
	}
}

// That a trial was not carried out is no bug's doing, nor is what the bug does
// not hide.
func TestABugDoesNotMaskWhatItHasNoPartIn(t *testing.T) {
	bug := marks("k", "a")
	bug.Sees = append(bug.Sees, "trial-complete")
	bug.Hides = []string{"reproduces-k"}
	cut := silent("a")
	cut.Events = cut.Events[:len(cut.Events)-1]
	assert.Equal(t, check.Inconclusive, check.Judge(cut, []check.KnownBug{bug}, check.AnswersWithin(bound)).State)

	missed := check.Judge(silent(), []check.KnownBug{bug}, check.Reproduces(bug, check.AnswersWithin(bound)))
	assert.Equal(t, check.Inconclusive, missed.State)

	unread := check.Judge(silent("a"), []check.KnownBug{bug}, check.NoPanic(), check.LedgerKeeps("tick", "ledger"))
	assert.Equal(t, check.Inconclusive, unread.State)
}

// A failure of which what is left cannot be decided, for another reason than that
// nothing is left, is not known.
func TestWhatIsLeftUndecidedBesideAKnownFailureStands(t *testing.T) {
	inv := check.Invariant{Name: "answers-within-bound", Check: func(h *history.History) check.Finding {
		f := check.Finding{State: check.Inconclusive, Summary: "nobody"}
		for _, e := range h.Events {
			if b, ok := e.Body.(*history.Invoke); ok {
				if b.Actor == "a" {
					return check.Finding{State: check.Fail}
				}
				f.Summary = "not watched for long enough"
			}
		}
		return f
	}}
	v := check.Judge(silent("a"), []check.KnownBug{marks("k", "a")}, inv)
	assert.Equal(t, check.Inconclusive, v.State)
	assert.Equal(t, check.Known, check.Judge(silent("a"), []check.KnownBug{marks("k", "a", "well")}, inv).State, "nobody is left")
}

func TestABugThatExplainsNothingIsNotNamed(t *testing.T) {
	v := check.Judge(silent("a"), []check.KnownBug{marks("idle", "well"), marks("k", "a")}, check.AnswersWithin(bound))
	assert.Equal(t, check.Known, v.State)
	assert.Equal(t, []string{"k"}, v.First().Bugs)
}

// A creation that failed at once is another's doing than that one was left.
func TestLoadSheddingExcusesTheCreationsThatItLeft(t *testing.T) {
	refused := history.Return{Outcome: history.Info, Cause: history.CauseStatus, Status: 500, Code: "core.internal_error", Generation: -1}
	b := &ht.Builder{}
	shedding(b, "engine")
	b.Op(1, 8001, creation("k"), ht.Unknown()).Op(2, 5, ht.Tick("b", "x"), ht.OK("b", 1)).Op(9000, 9010, creation("l"), refused)
	v := check.Judge(b.End(40_000), []check.KnownBug{check.LoadShedding}, check.CreatesWithin(5*time.Second))
	assert.Equal(t, check.Fail, v.State)
	assert.Contains(t, v.First().Summary, "actor l")
}

// Noise counts while the actor was waited for.
func TestABusyHostExcusesWhatWasWaitedForMeanwhile(t *testing.T) {
	late := func(busyAt, answered int) check.Finding {
		return one(t, restarted().Op(100, answered, ht.Probe("a", 0), ht.OK("a", 2)).
			At(busyAt, history.KindNoise, &history.Noise{SpanNS: 20e6, Busy: 0.99}).End(30_000), check.AnswersWithin(bound))
	}
	assert.Equal(t, check.Fail, late(60, 5200).State, "busy while the engine started")
	assert.Equal(t, check.Inconclusive, late(2000, 5200).State)
	assert.Equal(t, check.Fail, late(5300, 5200).State, "busy afterwards")
	twice := 100 + int(2*bound/time.Millisecond)
	assert.Equal(t, check.Inconclusive, late(2000, twice).State)
	assert.Equal(t, check.Fail, late(2000, twice+1).State, "no host makes that long of it")
}

func TestOnlyActorsBesideTheSweepWereProbed(t *testing.T) {
	beside := ht.Probe("a", 0)
	beside.Probe = "beside"
	h := restarted().Op(100, 1100, beside, ht.TimedOut()).End(30_000)
	assert.Equal(t, check.Fail, one(t, h, check.AnswersWithin(bound)).State)
}

// An answer to who was asked by a key that nobody named proves nothing.
func TestRightActorOfAKeyAlone(t *testing.T) {
	inv := history.Invoke{Key: "new", Name: "health"}
	h := restarted().Op(100, 120, inv, ht.OK("b", 1)).End(200)
	assert.Equal(t, check.Inconclusive, one(t, h, check.RightActor()).State)
}

func TestAnEngineThatDiesOfAnotherThingThanItsStopFails(t *testing.T) {
	for _, c := range []struct {
		code  int
		ended bool
		want  check.State
	}{{0, false, check.Pass}, {143, false, check.Pass}, {137, true, check.Pass}, {137, false, check.Fail}, {139, false, check.Fail}, {1, false, check.Fail}} {
		b := restarted()
		for _, i := range []int{0, 2} {
			b.H.Events[i].Body.(*history.Fault).Kind = "stop"
		}
		e := b.H.Events[1].Body.(*history.Exit)
		e.Signal, e.Code, e.GraceEnded = "SIGTERM", c.code, c.ended
		assert.Equal(t, c.want, one(t, b.End(200), check.FaultLanded()).State, "%+v", c)
	}
}

// Who is told something decisive is not left in silence.
func TestAnActorThatTheClientIsToldOfIsNotUnreachable(t *testing.T) {
	for code, struck := range map[string]bool{"guard.actor_ready_timeout": true, "guard.retry_attempts_exceeded": true, "actor.not_found": false, "core.internal_error": false} {
		told := history.Return{Outcome: history.Fail, Cause: history.CauseStatus, Status: 500, Code: code, Generation: -1}
		o := restart("kill")
		asleep(o, 8990, 9000)
		o.Op(11_200, 11_300, ht.Probe("a", 0), told)
		assert.Equal(t, struck, len(check.LeaseOutlivesEngine.Mark(o.asked("a", 11_400, 20_000, 0).End(60_000))) > 0, code)

		b := (&ht.Builder{}).Life(0, 10, "a", 1)
		b.At(60, history.KindEnvoy, &history.Envoy{What: "gave-up"})
		b.H.Events[len(b.H.Events)-1].Party = ht.Runtime
		b.Op(70, 80, ht.Probe("a", 0), told)
		assert.Equal(t, struck, len(check.LostRuntimeKeepsActors.Mark(b.End(100))) > 0, code)
	}
}

// A host that was busy meanwhile excuses a while, not any.
func TestABusyHostExcusesALateCreationForAWhile(t *testing.T) {
	for took, want := range map[int]check.State{10_000: check.Inconclusive, 10_001: check.Fail} {
		b := &ht.Builder{}
		b.Op(0, took, creation("k"), made("a")).At(2000, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 0.99})
		assert.Equal(t, want, one(t, b.End(40_000), check.CreatesWithin(5*time.Second)).State, took)

		b = &ht.Builder{}
		b.Op(0, took, ht.Tick("a", "x"), ht.Unknown()).Op(10, 20, ht.Read("a"), ht.OK("a", 1)).
			At(2000, history.KindNoise, &history.Noise{SpanNS: 500e6, Busy: 0.99})
		assert.Equal(t, want, one(t, b.End(40_000), check.AnswersAreNotLost(5*time.Second)).State, took)
	}
}
