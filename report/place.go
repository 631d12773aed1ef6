package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/window"
)

// place finds the row of an event, and draws the bar that it begins or ends.
func (l *lanes) place(i int, e history.Event) mark {
	switch b := e.Body.(type) {
	case *history.Step:
		return l.step(i, b)
	case *history.Invoke:
		l.begun[b.Op] = i
		return mark{l.row(laneClients, l.asker(b)), styleEnd}
	case *history.Return:
		return l.returned(i, e, b)
	case *history.End:
		return mark{l.row(lanePlan, rowHarness), cond(b.State == history.EndComplete, styleNote, styleBroken)}
	case *history.Noise:
		row := l.row(laneHost, rowBusy)
		l.extra(row, i, e.T.Add(-time.Duration(b.SpanNS)), time.Duration(b.SpanNS), styleNoise)
		return mark{row, styleEnd}
	case *history.Log:
		return l.log(b)
	case *history.Fault:
		return l.fault(i, b)
	case *history.Breakpoint:
		return l.breakpoint(i, b)
	case *history.Moment:
		return l.moment(i, b)
	case *history.TapStrike:
		return l.strike(i, b)
	}
	return l.party(i, e)
}

// party places what the parties of the cell say of themselves.
func (l *lanes) party(i int, e history.Event) mark {
	switch b := e.Body.(type) {
	case *history.Container:
		return l.container(i, b)
	case *history.Exit:
		return l.exit(i, b)
	case *history.Health:
		return l.health(i, b)
	case *history.Envoy:
		return l.envoy(i, e, b)
	case *history.Actor:
		return l.actor(i, b)
	case *history.Heartbeat:
		return mark{l.row(laneRuntime, l.nameOf(b.Actor)), cond(b.Error == "", styleBeat, styleError)}
	case *history.Frame:
		return l.frame(i, b)
	case *history.TapRule:
		return l.rule(i, b)
	case *history.Front:
		return l.front(i, e, b)
	case *history.Shutdown:
		return l.shutdown(i, e, b)
	}
	role, _, _ := strings.Cut(e.Party, "#")
	in := laneOf(role)
	return mark{l.row(in, cmp.Or(map[lane]string{lanePlan: rowHarness, laneWire: role}[in], rowLog)), styleNote}
}

func cond[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// laneOf is the lane of a role.
func laneOf(role string) lane {
	switch role {
	case "engine":
		return laneEngine
	case "runtime":
		return laneRuntime
	case "tap", "front":
		return laneWire
	case "client":
		return laneClients
	}
	return lanePlan
}

func (l *lanes) step(i int, b *history.Step) mark {
	row := l.row(lanePlan, rowSteps)
	if b.State == history.StepBegun {
		return l.begin("step", row, i, styleStep)
	}
	if o, ok := l.open["step"]; ok && b.State == history.StepFailed {
		o.style = styleBroken
		l.open["step"] = o
	}
	return l.begin("step", row, i, "")
}

func (l *lanes) fault(i int, b *history.Fault) mark {
	row, what := l.row(laneFaults, b.Target), "fault "+b.Kind+b.Target
	switch b.Phase {
	case history.FaultBegun:
		// What it does to its target is drawn with the target.
		if l.isOpen("container " + b.Target) {
			l.begin("container "+b.Target, l.open["container "+b.Target].row, i, styleDraining)
		}
		return l.begin(what, row, i, styleFault)
	case history.FaultFailed:
		l.begin(what, row, i, "")
		return mark{row, styleBroken}
	}
	l.begin(what, row, i, "")
	return mark{row, styleFault}
}

func (l *lanes) breakpoint(i int, b *history.Breakpoint) mark {
	row, what := l.row(laneFaults, "held: "+b.Name), fmt.Sprint("breakpoint ", b.Name, b.Actor, b.Generation)
	switch b.What {
	case "reached":
		return l.begin(what, row, i, styleHeld)
	case "released", "expired", "abandoned":
		return l.begin(what, row, i, "")
	}
	return mark{row, styleNote}
}

// asker is who asks, where that has a name, else who is asked.
func (l *lanes) asker(b *history.Invoke) string {
	switch {
	case b.Client != "" && b.Client != "client" && !strings.HasPrefix(b.Client, "action-"):
		return b.Client
	case b.Key != "":
		return b.Key
	case b.Actor != "":
		return l.nameOf(b.Actor)
	}
	return b.Name
}

var classStyles = map[window.Class]style{
	window.Answered: styleAnswered, window.Held: styleWaited, window.TimedOut: styleTimedOut,
	window.Refused: styleRefused, window.Errored: styleError, window.CutOff: styleOpen,
}

// returned draws the operation, and its end at the gateway's door.
func (l *lanes) returned(i int, e history.Event, b *history.Return) mark {
	from, ok := l.begun[b.Op]
	if !ok {
		return mark{l.row(laneGateway, rowAnswers), classStyles[window.Classify(b, 0)]}
	}
	delete(l.begun, b.Op)
	begun := l.events[from].T
	s := classStyles[window.Classify(b, e.T.Sub(begun))]
	l.bars = append(l.bars, bar{l.marks[from].row, from, i, begun, e.T, s})
	return mark{l.row(laneGateway, rowAnswers), s}
}

func roleLane(role string) lane {
	if in := laneOf(role); in != lanePlan {
		return in
	}
	return laneHost
}

// containerRow is where an incarnation is drawn: after the one before it, or, where
// that is still there, in a row of its own.
func (l *lanes) containerRow(in lane, role, what string) int {
	if in == laneWire {
		return l.row(in, role)
	}
	if r, ok := l.homes[what]; ok {
		return r
	}
	name := rowContainer
	for other := range l.open {
		if strings.HasPrefix(other, "container "+role+"#") {
			name = strings.TrimPrefix(what, "container ")
		}
	}
	l.homes[what] = l.row(in, name)
	return l.homes[what]
}

func (l *lanes) container(i int, b *history.Container) mark {
	in := roleLane(b.Role)
	if in == laneHost {
		return mark{l.row(in, b.Role), styleNote}
	}
	what := fmt.Sprintf("container %s#%d", b.Role, b.Incarnation)
	row := l.containerRow(in, b.Role, what)
	switch b.What {
	case history.ContainerStarting:
		return l.begin(what, row, i, cond(b.Role == "engine", styleBooting, styleUp))
	case history.ContainerRemoved:
		return l.begin(what, row, i, "")
	}
	return mark{row, styleNote}
}

func (l *lanes) exit(i int, b *history.Exit) mark {
	in := roleLane(b.Role)
	if in == laneHost {
		return mark{l.row(in, b.Role), styleNote}
	}
	what := fmt.Sprintf("container %s#%d", b.Role, b.Incarnation)
	row := l.containerRow(in, b.Role, what)
	l.begin(what, row, i, "")
	switch b.Role {
	case "engine":
		l.endAll("health", i)
	case "runtime":
		// Whatever it hosted ended with it.
		l.endAll("actor ", i)
		l.endAll(fmt.Sprintf("envoy runtime#%d", b.Incarnation), i)
	}
	return mark{row, cond(b.By == "teardown", styleNote, styleFault)}
}

// endAll ends all open bars whose names begin so.
func (l *lanes) endAll(prefix string, i int) {
	for what, o := range l.open {
		if strings.HasPrefix(what, prefix) {
			l.begin(what, o.row, i, "")
		}
	}
}

func (l *lanes) health(i int, b *history.Health) mark {
	row := l.row(laneGateway, rowHealth)
	if b.What != "ok" {
		return mark{row, styleNote}
	}
	for what, o := range l.open {
		if strings.HasPrefix(what, "container engine#") && o.style == styleBooting {
			l.begin(what, o.row, i, styleUp)
		}
	}
	return l.begin("health", row, i, styleUp)
}

func (l *lanes) envoy(i int, e history.Event, b *history.Envoy) mark {
	row, what := l.row(laneWire, rowLink), "envoy "+e.Party
	switch b.What {
	case "dialing":
		return l.begin(what, row, i, styleDialing)
	case "connected":
		return l.begin(what, row, i, styleLinked)
	case "closed", "evicted", "gave-up", "drained":
		return l.begin(what, row, i, "")
	case "backoff":
		l.extra(row, i, e.T, time.Duration(b.WaitNS), styleBackoff)
		return mark{row, styleEnd}
	}
	return mark{row, styleNote}
}

// nameOf is the actor's key, which its row is called after.
func (l *lanes) nameOf(actor string) string {
	if key := l.keys[actor]; key != "" {
		return key
	}
	return actor
}

func (l *lanes) actor(i int, b *history.Actor) mark {
	row, what := l.row(laneRuntime, l.nameOf(b.Actor)), fmt.Sprint("actor ", b.Actor, " ", b.Generation)
	switch b.What {
	case "start":
		return l.begin(what, row, i, styleStarting)
	case "running":
		return l.begin(what, row, i, styleRunning)
	case "sleep", "stop", "lost":
		return l.begin(what, row, i, styleStopping)
	case "stopped", "abort":
		return l.begin(what, row, i, "")
	case "panic", "alarm-failed", "answer-dropped", "not-here", "forgotten":
		return mark{row, styleError}
	}
	return mark{row, cond(b.Error == "", styleNote, styleError)}
}

// frame draws a frame from its arrival to what became of it.
func (l *lanes) frame(i int, b *history.Frame) mark {
	wire := b.Wire
	if wire == "" {
		wire = "envoy"
	}
	arrow := map[string]string{"to-engine": " → engine", "to-runtime": " → runtime", "to-client": " → client"}[b.Direction]
	row, what := l.row(cond(wire == "gateway", laneGateway, laneWire), wire+arrow), fmt.Sprint("frame ", l.events[i].Party, b.N)
	switch b.What {
	case "arrived":
		return l.begin(what, row, i, cond(b.Type == "undecoded", styleError, styleFrame))
	case "held":
		return l.begin(what, row, i, styleHeld)
	case "delivered":
		if l.isOpen(what) {
			return l.begin(what, row, i, "")
		}
		return mark{row, styleFrame}
	case "dropped", "lost", "cut":
		l.begin(what, row, i, "")
		return mark{row, styleLost}
	}
	return mark{row, styleFrame}
}

// moment draws one from when it was there to the death that was to be then.
func (l *lanes) moment(i int, b *history.Moment) mark {
	row := l.row(laneFaults, "moment")
	if b.ReachedT != 0 && b.DiedT > b.ReachedT {
		l.extra(row, i, b.ReachedT, b.DiedT.Sub(b.ReachedT), styleHeld)
	}
	return mark{row, cond(b.What == "missed", styleBroken, styleHeld)}
}

func (l *lanes) strike(i int, b *history.TapStrike) mark {
	row, what := l.row(laneFaults, "executioner"), "strike "+b.Rule+b.Target
	switch b.What {
	case "signaled":
		return l.begin(what, row, i, styleFault)
	case "died":
		return l.begin(what, row, i, "")
	}
	return mark{row, cond(b.What == "failed", styleBroken, styleFault)}
}

// rule draws the time for which a rule of the tap held its frame.
func (l *lanes) rule(i int, b *history.TapRule) mark {
	row, what := l.row(laneWire, "rules"), "rule "+b.Rule
	switch b.What {
	case "reached":
		return l.begin(what, row, i, styleHeld)
	case "done", "expired", "failed":
		l.begin(what, row, i, "")
	}
	return mark{row, cond(b.Error == "", styleNote, styleError)}
}

func (l *lanes) front(i int, e history.Event, b *history.Front) mark {
	row := l.row(laneWire, "front")
	if b.What == "routed" {
		return mark{row, styleHeld}
	}
	l.extra(row, i, e.T, time.Duration(b.TookNS), cond(b.Error == "" && b.Status < 500, styleFrame, styleError))
	return mark{row, styleEnd}
}

// shutdown draws the runtime's way out.
func (l *lanes) shutdown(i int, e history.Event, b *history.Shutdown) mark {
	row, what := l.row(laneRuntime, "shutdown"), "shutdown "+e.Party
	switch b.What {
	case history.ShutdownSignal:
		return l.begin(what, row, i, styleDraining)
	case history.ShutdownDrained:
		l.begin(what, row, i, "")
	}
	return mark{row, cond(b.Error == "", styleNote, styleError)}
}

func (l *lanes) log(b *history.Log) mark {
	if b.Stream == "api" {
		return mark{l.row(laneGateway, rowAPI), styleError}
	}
	in := roleLane(b.Role)
	return mark{l.row(in, cond(in == laneHost, b.Role, rowLog)), styleLog}
}
