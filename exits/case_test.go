package exits

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	for _, c := range Matrix() {
		got, err := Parse(c.String())
		require.NoError(t, err)
		assert.Equal(t, c, got)
	}
	for text, want := range map[string]string{
		"drain/pid1":           `the case "drain/pid1": want BEHAVIOUR/PLACE/STRIKE, as in drain/pid1/TERM`,
		"drian/pid1/TERM":      `behaviour "drian" is unknown: did you mean "drain"?`,
		"drain/pid2/TERM":      `place "pid2" is unknown: did you mean "pid1"?`,
		"drain/pid1/stop-60s":  `strike "stop-60s" is unknown`,
		"drain/pid1/TERM/more": `the case "drain/pid1/TERM/more": want`,
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, want)
	}
}

// Every case has a place: in a lane, or in the table with why it is not carried
// out.
func TestNoCaseIsForgotten(t *testing.T) {
	var carried []Case
	for _, l := range Lanes() {
		carried = append(carried, l.Cases()...)
	}
	for _, c := range Matrix() {
		assert.Equal(t, c.Skipped() == "", slices.Contains(carried, c), c)
	}
	assert.Len(t, Matrix(), 12*2*9)
}

func TestGraces(t *testing.T) {
	for s, want := range map[Strike]time.Duration{StopNow: 0, StopShort: time.Second, StopLong: 4 * time.Second} {
		grace, ok := s.Grace()
		assert.True(t, ok)
		assert.Equal(t, want, grace)
	}
	_, ok := TERM.Grace()
	assert.False(t, ok)
	assert.Less(t, short, InFlight, "the short grace ends in the middle of the drain")
	assert.Less(t, InFlight, Patience)
}

// What is expected of each row, for TERM and the long stop: the table of
// docs/exit-semantics.md in short.
func TestExpectations(t *testing.T) {
	for name, want := range map[string]struct {
		code     int
		ending   Ending
		hooks    int
		answered bool
	}{
		"drain/pid1/TERM":             {143, Itself, 2, true},
		"drain/pid1/INT":              {130, Itself, 2, true},
		"drain/init/HUP":              {129, Itself, 2, true},
		"drain/init/QUIT":             {131, Itself, 2, true},
		"drain/pid1/TERM-TERM":        {143, Itself, 2, true},
		"drain/pid1/KILL":             {137, ByStrike, 0, false},
		"drain/pid1/stop-0s":          {137, ByGrace, 0, false},
		"drain/pid1/stop-1s":          {137, ByGrace, 1, false},
		"drain/pid1/stop-4s":          {143, Itself, 2, true},
		"drain-zero/init/TERM":        {0, Itself, 2, true},
		"drain-overtime/pid1/TERM":    {143, Itself, 1, false},
		"drain-overtime/pid1/stop-4s": {143, Itself, 1, false},
		"drain-reraise/pid1/TERM":     {137, ByUs, 2, true},
		"drain-reraise/pid1/stop-4s":  {137, ByGrace, 2, true},
		"drain-reraise/init/stop-4s":  {143, Itself, 2, true},
		"drain-reset/pid1/TERM":       {2, Itself, 2, true},
		"drain-reset/init/TERM":       {143, Itself, 2, true},
		"drain-reset/init/QUIT":       {2, Itself, 2, true},
		"at-once/pid1/INT":            {130, Itself, 0, false},
		"ignore/pid1/TERM":            {137, ByUs, 0, true},
		"ignore/init/stop-1s":         {137, ByGrace, 0, false},
		"endless/pid1/stop-4s":        {137, ByGrace, 1, true},
		"endless/pid1/stop-1s":        {137, ByGrace, 0, false},
		"panic/init/TERM":             {2, Itself, 0, false},
		"oom/pid1/TERM":               {137, ByKernel, 0, false},
		"unhandled/pid1/TERM":         {2, Itself, 0, false},
		"unhandled/init/INT":          {130, Itself, 0, false},
		"unhandled/init/QUIT":         {2, Itself, 0, false},
	} {
		c, err := Parse(name)
		require.NoError(t, err)
		got := c.Expected()
		assert.Equal(t, []int{want.code}, got.Codes, name)
		assert.Equal(t, []Ending{want.ending}, got.Endings, name)
		assert.Equal(t, want.hooks, got.StopHooks[0], name)
		assert.Equal(t, want.answered, got.Answered, name)
	}
	for _, c := range Matrix() {
		assert.NotEmpty(t, c.Expected().Why, c)
	}
}

// A stop without a grace races an end that takes no time, and nothing else.
func TestStopWithoutGraceIsARace(t *testing.T) {
	assert.Equal(t, []int{137, 143}, Case{AtOnce, PID1, StopNow}.Expected().Codes)
	assert.Equal(t, []int{137, 2}, Case{Unhandled, PID1, StopNow}.Expected().Codes)
	assert.Equal(t, []int{137}, Case{Ignore, PID1, StopNow}.Expected().Codes)
}
