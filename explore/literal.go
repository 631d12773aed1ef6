package explore

import (
	"fmt"
	gofmt "go/format"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/spec"
)

// GoTest is the trial as a Go test that is ready to paste into a file of its own.
// It fails as long as the trial does.
func (s Shrunk) GoTest() (string, error) {
	var b strings.Builder
	b.WriteString(`package killpoint_test

import (
	"context"
	"testing"
`)
	body := s.body()
	for _, group := range [][]struct{ path, used string }{
		{{"time", "time."}},
		{{"github.com/stretchr/testify/require", "require."}},
		{
			{"github.com/killpoint/killpoint/check", "check."}, {"github.com/killpoint/killpoint/containers", "containers."},
			{"github.com/killpoint/killpoint/explore", "explore."}, {"github.com/killpoint/killpoint/moment", "moment."},
			{"github.com/killpoint/killpoint/spec", "spec."}, {"github.com/killpoint/killpoint/workload", "workload."},
		},
	} {
		for i, imp := range group {
			if !strings.Contains(body, imp.used) {
				continue
			}
			if i == 0 && imp.path != "time" {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "\t%q\n", imp.path)
		}
	}
	b.WriteString(")\n" + body)
	src, err := gofmt.Source([]byte(b.String()))
	if err != nil {
		return "", fmt.Errorf("format the test: %w", err)
	}
	return string(src), nil
}

func (s Shrunk) body() string {
	return fmt.Sprintf(`
// Shrunk by killpoint to a %s, which came in %s runs.
func TestShrunk(t *testing.T) {
	session, err := containers.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, session.Close(context.Background())) })
	verdict, err := explore.Runner{Session: session, Name: "shrunk"}.Run(t.Context(), %s, t.TempDir())
	require.NoError(t, err)
	require.NotEqual(t, check.Fail, verdict.State, "%%v", verdict)
}
`, s.Want, s.Rate, literal(s.Trial))
}

// literal is the trial as a struct literal.
func literal(t spec.Trial) string {
	var b strings.Builder
	b.WriteString("spec.Trial{\n")
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s,\n", name, value) }
	field("Name", fmt.Sprintf("%q", t.Name))
	if t.Engine != "" {
		field("Engine", fmt.Sprintf("%q", t.Engine))
	}
	if text := runtimeLiteral(t.Runtime); text != "" {
		field("Runtime", text)
	}
	if t.Seed != 0 {
		field("Seed", fmt.Sprint(t.Seed))
	}
	ops := make([]string, len(t.Ops))
	for i, o := range t.Ops {
		ops[i] = fmt.Sprintf("%q", string(o))
	}
	field("Ops", "[]workload.Op{"+strings.Join(ops, ", ")+"}")
	if len(t.Strikes) > 0 {
		b.WriteString("Strikes: []spec.Strike{\n")
		for _, k := range t.Strikes {
			fmt.Fprintf(&b, "{At: %s, Target: %q, Fault: %q", momentLiteral(k.At), k.Target, k.Fault)
			if k.Held != "" {
				fmt.Fprintf(&b, ", Held: %q", k.Held)
			}
			b.WriteString("},\n")
		}
		b.WriteString("},\n")
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Patience", t.Patience}, {"Bound", t.Bound}} {
		if d.d != 0 {
			field(d.name, durationLiteral(d.d))
		}
	}
	b.WriteString("}")
	return b.String()
}

func runtimeLiteral(r spec.Runtime) string {
	var fields []string
	for _, f := range []struct{ name, value string }{
		{"Image", r.Image}, {"Reconnect", r.Reconnect}, {"Heartbeat", r.Heartbeat}, {"Bug", r.Bug},
	} {
		if f.value != "" {
			fields = append(fields, fmt.Sprintf("%s: %q", f.name, f.value))
		}
	}
	if r.Protocol != 0 {
		fields = append(fields, fmt.Sprintf("Protocol: %d", r.Protocol))
	}
	if len(r.Env) > 0 {
		var pairs []string
		for _, k := range slices.Sorted(maps.Keys(r.Env)) {
			pairs = append(pairs, fmt.Sprintf("%q: %q", k, r.Env[k]))
		}
		fields = append(fields, "Env: map[string]string{"+strings.Join(pairs, ", ")+"}")
	}
	if len(fields) == 0 {
		return ""
	}
	return "spec.Runtime{" + strings.Join(fields, ", ") + "}"
}

// sides, as Go calls them.
var sides = map[moment.Side]string{moment.BeforeDelivery: "moment.BeforeDelivery", moment.AfterDelivery: "moment.AfterDelivery"}

func momentLiteral(m moment.Moment) string {
	text, key := "moment.Now()", ""
	if name, of, ok := m.AtBreakpoint(); ok {
		text, key = fmt.Sprintf("moment.Breakpoint(%q)", name), of
	}
	if f, ok := m.AtFrame(); ok {
		what := f.Type
		if f.Detail != "" {
			what += "/" + f.Detail
		}
		text, key = fmt.Sprintf("moment.Frame(%q, %d, %s)", what, f.Nth, sides[f.Side]), f.Key
		if f.Wire != "" || f.Direction != "" {
			text += fmt.Sprintf(".On(%q, %q)", f.Wire, f.Direction)
		}
	}
	if e, nth, of, offset, ok := m.AfterEvent(); ok {
		text, key = fmt.Sprintf("moment.After(%q, %s)", e, durationLiteral(offset)), of
		if nth != 1 {
			text += fmt.Sprintf(".Again(%d)", nth)
		}
	}
	if key != "" {
		text += fmt.Sprintf(".Of(%q)", key)
	}
	return text
}

// durationLiteral is the time in the largest unit that it is a whole number of.
func durationLiteral(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{time.Minute, "time.Minute"}, {time.Second, "time.Second"}, {time.Millisecond, "time.Millisecond"}, {time.Microsecond, "time.Microsecond"}} {
		switch {
		case d == 0:
			return "0"
		case d == u.d:
			return u.name
		case d%u.d == 0:
			return fmt.Sprintf("%d * %s", d/u.d, u.name)
		}
	}
	return fmt.Sprintf("%d * time.Nanosecond", d)
}
