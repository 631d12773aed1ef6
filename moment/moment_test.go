package moment_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/moment"
)

func TestTextForm(t *testing.T) {
	for text, m := range map[string]moment.Moment{
		"now":                                moment.Now(),
		"breakpoint:before-commit":           moment.Breakpoint("before-commit"),
		"breakpoint:on-start?key=golden":     moment.Breakpoint("on-start").Of("golden"),
		"frame:exec-request/commit#1@before": moment.Frame("exec-request/commit", 1, moment.BeforeDelivery),
		"frame:init#2@after":                 moment.Frame("init", 2, moment.AfterDelivery),
		"frame:request-start/POST /action/tick#3@after?key=a+b":           moment.Frame("request-start/POST /action/tick", 3, moment.AfterDelivery).Of("a b"),
		"frame:websocket-message#1@before?direction=to-engine&wire=envoy": moment.Frame("websocket-message", 1, moment.BeforeDelivery).On("envoy", "to-engine"),
		"event:engine-healthy":         moment.After(moment.EngineHealthy, 0),
		"event:engine-healthy#2+250ms": moment.After(moment.EngineHealthy, 250*time.Millisecond).Again(2),
	} {
		assert.Equal(t, text, m.String())
		got, err := moment.Parse(text)
		require.NoError(t, err)
		assert.Equal(t, m, got)
		b, err := json.Marshal(m)
		require.NoError(t, err)
		var back moment.Moment
		require.NoError(t, json.Unmarshal(b, &back))
		assert.Equal(t, m, back)
	}
}

func TestBadTextIsRefusedInOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "want now, breakpoint:NAME",
		"soon":                           "want now, breakpoint:NAME",
		"breakpoint:":                    "without a name",
		"frame:init":                     "want @before or @after",
		"frame:init@before":              "as in #1",
		"frame:init#0@before":            "as in #1",
		"frame:#1@before":                "without a type",
		"event:engine-happy":             "want one of engine-started, ",
		"event:engine-healthy+soon":      "want a duration",
		"event:engine-healthy#x":         "want a number from 1 on",
		"event:engine-healthy?wire=a":    `option "wire" does not belong to a event`,
		"breakpoint:before-commit?who=a": `option "who"`,
	} {
		_, err := moment.Parse(text)
		require.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "\n")
	}
}

func TestParsedTextIsWrittenAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(frame|event|breakpoint):[a-z/ #@+?=]{0,24}`).Draw(t, "text")
		m, err := moment.Parse(text)
		if err != nil {
			return
		}
		again, err := moment.Parse(m.String())
		if err != nil || again != m {
			t.Fatalf("%q is written as %q, which is read as %v, %v", text, m, again, err)
		}
	})
}

func TestFrameIsSelected(t *testing.T) {
	at, ok := moment.Frame("request-start/POST /action/tick", 2, moment.BeforeDelivery).Of("k").On("envoy", "to-runtime").AtFrame()
	require.True(t, ok)
	assert.Equal(t, moment.FrameAt{
		Wire: "envoy", Direction: "to-runtime", Type: "request-start", Detail: "POST /action/tick", Key: "k", Nth: 2, Side: moment.BeforeDelivery,
	}, at)
	_, ok = moment.Now().AtFrame()
	assert.False(t, ok)
}

func TestEventsAreSeen(t *testing.T) {
	probe := &history.Invoke{Op: "1", Key: "a", Probe: "sweep"}
	plain := &history.Invoke{Op: "2", Key: "b"}
	events := []history.Event{
		{Kind: history.KindContainer, Body: &history.Container{Role: "engine", What: history.ContainerStarted}},
		{Kind: history.KindContainer, Body: &history.Container{Role: "engine", What: history.ContainerFirstByte}},
		{Kind: history.KindHealth, Body: &history.Health{What: "ok"}},
		{Kind: history.KindExit, Body: &history.Exit{Role: "engine"}},
		{Kind: history.KindContainer, Body: &history.Container{Role: "runtime", What: history.ContainerStarted}},
		{Kind: "runtime.listening", Body: json.RawMessage(`{}`)},
		{Kind: history.KindExit, Body: &history.Exit{Role: "runtime"}},
		{Kind: history.KindEnvoy, Body: &history.Envoy{What: "connected"}},
		{Kind: history.KindEnvoy, Body: &history.Envoy{What: "closed"}},
		{Kind: history.KindActor, Body: &history.Actor{Key: "a", What: "start"}},
		{Kind: history.KindActor, Body: &history.Actor{Key: "a", What: "running"}},
		{Kind: history.KindActor, Body: &history.Actor{Key: "a", What: "stopped"}},
		{Kind: history.KindInvoke, Body: plain},
		{Kind: history.KindReturn, Body: &history.Return{Op: "2", Outcome: history.OK}},
		{Kind: history.KindInvoke, Body: probe},
		{Kind: history.KindReturn, Body: &history.Return{Op: "1", Outcome: history.Fail}},
		{Kind: history.KindInvoke, Body: probe},
		{Kind: history.KindReturn, Body: &history.Return{Op: "1", Outcome: history.OK}},
	}
	seenAt := func(m moment.Moment) (at []int) {
		seen := m.Watch()
		for i, e := range events {
			if seen(e) {
				at = append(at, i)
			}
		}
		return at
	}
	want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 13}
	require.Len(t, want, len(moment.Events))
	for i, e := range moment.Events {
		assert.Equal(t, []int{want[i]}, seenAt(moment.After(e, 0)), e)
		assert.Empty(t, seenAt(moment.After(e, 0).Again(3)), e)
	}
	assert.Equal(t, []int{17}, seenAt(moment.After(moment.OpAnswered, 0).Again(2)))
	assert.Equal(t, []int{17}, seenAt(moment.After(moment.OpAnswered, 0).Of("a")))
	assert.Empty(t, seenAt(moment.After(moment.ActorRuns, 0).Of("b")))
	assert.Empty(t, seenAt(moment.Now()))
}
