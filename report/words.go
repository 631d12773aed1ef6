package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/killpoint/killpoint/history"
)

// widest is how many characters of a log line, of an answer or of an unknown
// body are shown. The history and the log files have all of it.
const widest = 240

// teller tells events in words. It knows what an operation's return does not
// say: what was asked, of whom, when.
type teller struct {
	asked map[string]history.Event // the invoke of each operation
	keys  map[string]string        // of actors
	steps []string                 // of the plan
}

func newTeller(h *history.History) teller {
	n := teller{asked: map[string]history.Event{}, keys: map[string]string{}}
	for _, e := range h.Events {
		switch b := e.Body.(type) {
		case *history.Invoke:
			n.asked[b.Op] = e
			n.key(b.Actor, b.Key)
		case *history.Actor:
			n.key(b.Actor, b.Key)
		case *history.Frame:
			n.key(b.Actor, b.Key)
		case *history.Plan:
			n.steps = b.Steps
		}
	}
	return n
}

func (n teller) key(actor, key string) {
	if key != "" {
		n.keys[actor] = key
	}
}

// actor is its key, by which people know it, and its id, by which the history
// does.
func (n teller) actor(id string) string {
	if key := n.keys[id]; key != "" && key != id {
		return fmt.Sprintf("actor %s (%s)", key, id)
	}
	return "actor " + id
}

// words are what the event says, in one line.
func (n teller) words(e history.Event) string {
	return oneLine(n.body(e))
}

func (n teller) body(e history.Event) string {
	switch b := e.Body.(type) {
	case *history.Invoke:
		return n.invoke(b)
	case *history.Return:
		return n.returned(e, b)
	case *history.Actor:
		return fmt.Sprintf("%s, generation %d: %s%s", n.actor(b.Actor), b.Generation, b.What, details("", b.Reason, "error ", headline(b.Error)))
	case *history.Heartbeat:
		return fmt.Sprintf("%s, generation %d: beat %d, took %s%s", n.actor(b.Actor), b.Generation, b.Beat, ms(time.Duration(b.TookNS)), details("error ", b.Error))
	case *history.Breakpoint:
		return n.breakpoint(b)
	case *history.Fault:
		return fmt.Sprintf("the fault, %s of %s: %s%s", b.Kind, b.Target, b.Phase, details("by ", b.Way, "", b.Detail))
	case *history.Exit:
		return fmt.Sprintf("%s#%d ended: %s", b.Role, b.Incarnation, exitWords(b))
	case *history.Container:
		return fmt.Sprintf("%s#%d: %s", b.Role, b.Incarnation, b.What)
	case *history.Log:
		return fmt.Sprintf("%s of %s#%d: %s", b.Stream, b.Role, b.Incarnation, b.Line)
	case *history.Step:
		return fmt.Sprintf("step %d%s: %s%s", b.N, details("", n.step(b.N)), b.State, details("", headline(b.Error)))
	case *history.End:
		return fmt.Sprintf("the trial ended: %s%s", b.State, details("", headline(b.Error)))
	case *history.Health:
		return "/health: " + b.What
	case *history.Envoy:
		return "its connection to the engine: " + b.What + details("try ", number(b.Attempt), "waits ", wait(b.WaitNS), "code ", number(b.Code), "", b.Reason, "error ", b.Error)
	}
	return n.rig(e)
}

// rig tells what the parties on the wires say, and of the moments that they are
// there for.
func (n teller) rig(e history.Event) string {
	switch b := e.Body.(type) {
	case *history.Frame:
		return n.frame(b)
	case *history.Front:
		return "the front: " + b.What + details("to ", b.To, "", strings.TrimSpace(b.Method+" "+b.Path), "status ", number(b.Status), "took ", wait(b.TookNS), "error ", b.Error)
	case *history.Shutdown:
		return "on its way out: " + string(b.What) + details("", b.Signal, "exit ", b.Exit, "took ", wait(b.TookNS), "code ", number(b.Code), "error ", headline(b.Error))
	case *history.TapTarget:
		return fmt.Sprintf("the executioner's target %s, process %d: %s%s", b.Party, b.PID, b.What, details("error ", b.Error))
	case *history.TapRule:
		return fmt.Sprintf("%s, %s %s the delivery: %s%s", b.Rule, b.Do, b.When, b.What, details("frame ", number(int(b.Frame)), "then ", b.Held, "error ", b.Error))
	case *history.TapStrike:
		return fmt.Sprintf("%s of %s: %s%s", b.Signal, b.Target, b.What, details("at frame ", number(int(b.Frame)), "took ", wait(b.TookNS), "connections severed ", number(b.Severed), "frames lost ", number(b.Lost), "error ", b.Error))
	case *history.Moment:
		return fmt.Sprintf("the moment %s for %s: %s%s", b.Moment, b.Target, b.What, details("by ", b.Way, "frame ", number(int(b.Frame)), "then ", b.Held, "connections severed ", number(b.Severed), "frames lost ", number(b.Lost), "", b.Detail))
	}
	return other(e)
}

func (n teller) frame(b *history.Frame) string {
	actor := ""
	if b.Actor != "" {
		actor = n.actor(b.Actor)
	}
	wire := ""
	if b.Wire != "" {
		wire = b.Wire + " "
	}
	return fmt.Sprintf("%sframe %d %s, %s of %d bytes: %s%s", wire, b.N, b.Direction, strings.TrimSpace(b.Type+" "+b.Detail), b.Bytes, b.What,
		details("", actor, "generation ", number(int(b.Generation)), "the ", nth(b.Nth), "error ", b.Error))
}

// nth is a place in an order.
func nth(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d. of its kind", n)
}

// step is what the plan calls it.
func (n teller) step(number int) string {
	if number < 1 || number > len(n.steps) {
		return ""
	}
	return n.steps[number-1]
}

func (n teller) invoke(b *history.Invoke) string {
	probe := ""
	if b.Probe != "" {
		probe = fmt.Sprintf("a %s probe at %s", b.Probe, ms(time.Duration(b.DelayNS)))
	}
	return fmt.Sprintf("%s is asked: %s of %s%s", b.Op, b.Name, n.actor(b.Actor),
		details("by ", b.Client, "over ", b.Via, "", probe, "again for ", b.RetryOf))
}

var outcomes = map[history.Outcome]string{
	history.OK:   "ok",
	history.Fail: "fail (certainly without effect)",
	history.Info: "info (unknown whether it took effect)",
}

func (n teller) returned(e history.Event, b *history.Return) string {
	outcome := cmp.Or(outcomes[b.Outcome], string(b.Outcome))
	asked, took, by := "", "", ""
	if inv, ok := n.asked[b.Op]; ok {
		i := inv.Body.(*history.Invoke)
		asked = fmt.Sprintf(": %s of %s", i.Name, n.actor(i.Actor))
		took = ms(e.T.Sub(inv.T))
		if b.AnsweredBy != "" && b.AnsweredBy != i.Actor {
			by = "ANOTHER ACTOR, " + n.actor(b.AnsweredBy)
		}
	}
	generation := ""
	if b.Generation >= 0 {
		generation = fmt.Sprint(b.Generation)
	}
	detail := cut(headline(b.Detail))
	if b.Cause == history.CauseTimeout {
		detail = "" // it repeats the address
	}
	return fmt.Sprintf("%s ended %s%s%s", b.Op, outcome, asked, details("after ", took, "", causes[b.Cause], "status ", number(b.Status), "code ", b.Code,
		"value ", value(b.Value), "answered by ", by, "generation ", generation, "", detail))
}

func (n teller) breakpoint(b *history.Breakpoint) string {
	if b.Actor == "" {
		return fmt.Sprintf("breakpoint %s: %s", b.Name, b.What)
	}
	return fmt.Sprintf("%s, generation %d: breakpoint %s %s", n.actor(b.Actor), b.Generation, b.Name, b.What)
}

// exitWords are how an incarnation ended.
func exitWords(b *history.Exit) string {
	s := "left by itself"
	if b.Signal != "" {
		s = b.Signal
	}
	if b.By != "" {
		s += " by " + b.By
	}
	if b.GraceEnded {
		s += " when its grace had ended"
	}
	if b.OOM {
		s += ", out of memory"
	}
	return fmt.Sprintf("%s, exit code %d", s, b.Code)
}

// other tells a body that has no words of its own here by its fields.
func other(e history.Event) string {
	b, err := json.Marshal(e.Body)
	var fields map[string]any
	if err != nil || json.Unmarshal(b, &fields) != nil {
		return string(e.Kind)
	}
	parts := make([]string, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, name+" "+strings.Trim(value(fields[name]), `"`))
	}
	return fmt.Sprintf("%s: %s", e.Kind, cut(strings.Join(parts, ", ")))
}

// details are ", name value" for each pair of a name and a value that is there.
func details(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			b.WriteString(", " + pairs[i] + pairs[i+1])
		}
	}
	return b.String()
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func wait(ns int64) string {
	if ns == 0 {
		return ""
	}
	return ms(time.Duration(ns))
}

// value is an answer as JSON; of a long list its length and its end, which for
// a ledger are the last writes.
func value(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	list, ok := v.([]any)
	if !ok || len(b) <= widest {
		return cut(string(b))
	}
	const shown = 5
	rest := list[max(0, len(list)-shown):]
	b, err = json.Marshal(rest)
	if err != nil {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%d entries, the last %s", len(list), cut(string(b)))
}

func cut(s string) string { return cutAt(s, widest) }

// cutAt keeps so many characters.
func cutAt(s string, most int) string {
	if len(s) <= most {
		return s // it has no more characters than bytes
	}
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + " ..."
}

// oneLine is a text as it can be shown in a line of a terminal: no end of a
// line in it, and nothing that a terminal would obey.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
}

// headline is the first line of a text that has several, such as an error with
// the log of a container in it.
func headline(s string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return oneLine(first)
}
