package suggest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	words := []string{"kill", "stop", "pause"}
	for word, want := range map[string]string{
		"kil": "kill", "KILL": "kill", "stopp": "stop", "puase": "pause", "sotp": "stop", "": "", "partition": "",
	} {
		assert.Equal(t, want, Nearest(word, words), word)
	}
}

func TestUnknown(t *testing.T) {
	words := []string{"kill", "stop"}
	require.EqualError(t, Unknown("fault", "kil", words), `fault "kil" is unknown: did you mean "kill"? There are kill, stop`)
	require.EqualError(t, Unknown("fault", "burn", words), `fault "burn" is unknown: want one of kill, stop`)
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "axc", 1}, {"abc", "ac", 1}, {"ab", "xaby", 2}} {
		assert.Equal(t, c.want, Distance(c.a, c.b), "%q %q", c.a, c.b)
	}
}
