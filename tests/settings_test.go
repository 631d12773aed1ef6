package tests

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/runner"
	"github.com/killpoint/killpoint/scenario/catalog"
)

// knownBugsEnv asks for all sides of all known bugs. Without it only those are
// carried out that always show, and soon.
const knownBugsEnv = "KILLPOINT_KNOWN_BUGS"

// platformEnv asks for all scenarios of how platforms end, replace and restart the
// parties. Without it only a selection is carried out.
const platformEnv = "KILLPOINT_PLATFORM"

// settings are the names of all, besides CI.
var settings = []string{"KILLPOINT_OUT", "KILLPOINT_ENGINES", "KILLPOINT_SEED", "KILLPOINT_DELAYS", "KILLPOINT_REPEATS", knownBugsEnv, platformEnv}

// noteSettings reads them once more while a test runs. What was read before the
// first test, `go test` does not know of, and would give the cached result of a
// run with other settings.
func noteSettings() {
	for _, name := range settings {
		_ = os.Getenv(name)
	}
}

// readSettings reads those of the environment that are the same for all tests,
// and returns the seed.
func readSettings() (seed uint64, err error) {
	if seed, err = parseSeed(os.Getenv("KILLPOINT_SEED")); err != nil {
		return 0, err
	}
	if run.options.Delays, err = parseDelays(os.Getenv("KILLPOINT_DELAYS")); err != nil {
		return 0, err
	}
	run.options.Repeats, err = parseRepeats(os.Getenv("KILLPOINT_REPEATS"))
	return seed, err
}

// parseSeed takes a random one that a person can type where text is empty.
func parseSeed(text string) (uint64, error) {
	seed, err := runner.ParseSeed(text)
	if err != nil {
		return 0, fmt.Errorf("KILLPOINT_SEED: %w", err)
	}
	return seed, nil
}

func parseDelays(text string) ([]time.Duration, error) {
	list, err := catalog.ParseDelays(text, catalog.SweepBound)
	if err != nil {
		return nil, fmt.Errorf("KILLPOINT_DELAYS: %w", err)
	}
	return list, nil
}

func parseRepeats(text string) (int, error) {
	n, err := catalog.ParseRepeats(text)
	if err != nil {
		return 0, fmt.Errorf("KILLPOINT_REPEATS: %w", err)
	}
	return n, nil
}

func TestSettings(t *testing.T) {
	noteSettings()
	n, err := parseSeed("")
	require.NoError(t, err)
	assert.NotZero(t, n, "0 is no seed of a person's")
	n, err = parseSeed("17")
	require.NoError(t, err)
	assert.Equal(t, uint64(17), n)

	d, err := parseDelays("")
	require.NoError(t, err)
	assert.Equal(t, catalog.Delays, d)
	d, err = parseDelays("0, 250ms,3s")
	require.NoError(t, err)
	assert.Equal(t, []time.Duration{0, 250 * time.Millisecond, 3 * time.Second}, d)

	r, err := parseRepeats("")
	require.NoError(t, err)
	assert.Equal(t, 1, r)
	r, err = parseRepeats("3")
	require.NoError(t, err)
	assert.Equal(t, 3, r)

	for name, bad := range map[string]func(string) error{
		"KILLPOINT_SEED":    func(s string) error { _, err := parseSeed(s); return err },
		"KILLPOINT_DELAYS":  func(s string) error { _, err := parseDelays(s); return err },
		"KILLPOINT_REPEATS": func(s string) error { _, err := parseRepeats(s); return err },
	} {
		for _, text := range map[string][]string{
			"KILLPOINT_SEED":    {"0", "-1", "x", "1.5"},
			"KILLPOINT_DELAYS":  {"250", "x", ",", "-1s", "15s", "1s,1000ms"},
			"KILLPOINT_REPEATS": {"0", "-1", "x", "21"},
		}[name] {
			require.ErrorContains(t, bad(text), name, text)
		}
	}
}

// The command that runs a trial again runs no other.
func TestAgainIsThatTrialOnly(t *testing.T) {
	noteSettings()
	command := again("TestActorState", "2.3.19", "asleep/stop in a minute")
	_, pattern, found := strings.Cut(command, "RUN='")
	require.True(t, found, command)
	levels := strings.Split(strings.TrimSuffix(pattern, "'"), "/")
	matches := func(name string) bool {
		parts := strings.Split(name, "/")
		for i, l := range levels {
			if i >= len(parts) || !regexp.MustCompile(l).MatchString(parts[i]) {
				return false
			}
		}
		return true
	}
	assert.True(t, matches("TestActorState/2.3.19/asleep/stop_in_a_minute"))
	for _, other := range []string{
		"TestActorState/2.3.19/alarm-asleep/stop_in_a_minute", "TestActorState/2.3.19/asleep/stop",
		"TestActorState/2x3.19/asleep/stop_in_a_minute", "TestActorStates/2.3.19/asleep/stop_in_a_minute",
		"TestActorState/2.3.19/asleep/stop_in_a_minute,_twice",
	} {
		assert.False(t, matches(other), other)
	}
	assert.Contains(t, command, fmt.Sprintf("SEED=%d ENGINE='2.3.19'", run.Seed))
}
