package containers

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

func TestLineSplitter(t *testing.T) {
	for name, tt := range map[string]struct {
		writes []string
		want   []string
	}{
		"whole lines":        {[]string{"a\nb\n"}, []string{"a", "b"}},
		"cut lines":          {[]string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		"empty lines":        {[]string{"\n\na\n"}, []string{"", "", "a"}},
		"no end at the end":  {[]string{"a\nb"}, []string{"a", "b"}},
		"carriage returns":   {[]string{"a\r\n", "b\r", "\n"}, []string{"a", "b"}},
		"nothing":            {nil, nil},
		"longer than memory": {[]string{strings.Repeat("x", maxLogLine), "y\n"}, []string{strings.Repeat("x", maxLogLine), "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			s := &lineSplitter{emit: func(b []byte) { got = append(got, string(b)) }}
			for _, w := range tt.writes {
				n, err := s.Write([]byte(w))
				require.NoError(t, err)
				require.Equal(t, len(w), n)
			}
			s.flush()
			assert.Equal(t, tt.want, got)
		})
	}
}

// However a stream is cut into writes, its lines are the same.
func TestLineSplitterDoesNotDependOnTheCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab\n]{0,60}`).Draw(t, "text")
		var got []string
		s := &lineSplitter{emit: func(b []byte) { got = append(got, string(b)) }}
		for rest := []byte(text); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			_, _ = s.Write(rest[:n])
			rest = rest[n:]
		}
		s.flush()
		want := strings.Split(text, "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func book(rec history.Recorder, keep func(string) bool) *logBook {
	return &logBook{rec: rec, role: "runtime", name: "n", incarnation: 2, party: "runtime#2", bootID: "ours", keep: keep}
}

func emitted(t *testing.T, at clock.Mono, kind history.Kind, body any) []byte {
	t.Helper()
	var b bytes.Buffer
	history.NewEmitter(&b).RecordAt(at, "whatever", kind, body)
	return bytes.TrimSpace(b.Bytes())
}

func TestLogBookKeepsTheStampOfAPartyOnThisKernel(t *testing.T) {
	rec := &memory{}
	l := book(rec, everyLine)
	l.add("stdout", emitted(t, 41, history.KindClock, &history.Clock{BootID: "ours"}))
	l.add("stdout", emitted(t, 42, history.KindActor, &history.Actor{Actor: "a", What: "start"}))
	l.add("stderr", []byte("plain"))
	require.Len(t, rec.events, 4, "first byte, clock, actor, log")
	assert.Equal(t, clock.Mono(42), rec.events[2].T)
	assert.Equal(t, "runtime#2", rec.events[2].Party)
	assert.Equal(t, &history.Log{Role: "runtime", Incarnation: 2, Stream: "stderr", Line: "plain"}, rec.events[3].Body)
	assert.Equal(t, 3, l.count())
}

func TestLogBookStampsAPartyOnAnotherKernelItself(t *testing.T) {
	rec := &memory{}
	l := book(rec, everyLine)
	l.add("stdout", emitted(t, 41, history.KindClock, &history.Clock{BootID: "theirs"}))
	l.add("stdout", emitted(t, 42, history.KindActor, &history.Actor{Actor: "a", What: "start"}))
	assert.InDelta(t, float64(clock.Now()), float64(rec.events[2].T), 60e9)
}

func TestEngineTrouble(t *testing.T) {
	for line, want := range map[string]bool{
		`ts=1 level=warn message="x"`:                      true,
		`ts=1 level=error message="x"`:                     true,
		`thread 'main' panicked at engine/main.rs:1`:       true,
		`fatal runtime error: stack overflow`:              true,
		`ts=1 level=info message="starting rivet"`:         false,
		`ts=1 level=debug message="connected" level_x=yes`: false,
	} {
		assert.Equal(t, want, engineTrouble(line), line)
	}
}

func TestTail(t *testing.T) {
	assert.Equal(t, "(it wrote nothing)", tail(nil, 2))
	lines := []LogLine{{Text: "a"}, {Text: "b"}, {Text: strings.Repeat("c", 1000)}}
	got := tail(lines, 2)
	assert.NotContains(t, got, "a")
	assert.Contains(t, got, "b")
	assert.Less(t, len(got), 450)
}
