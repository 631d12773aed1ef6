package suggest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHint(t *testing.T) {
	commands := []string{"run", "report", "replay", "doctor", "down"}
	assert.Equal(t, []string{"report"}, Words("reprot", commands))
	assert.Equal(t, []string{"report", "replay"}, Words("rep", commands))
	assert.Equal(t, []string{"doctor"}, Words("Docter", commands))
	assert.Empty(t, Words("run", nil))
	assert.Empty(t, Words("banana", commands))
	assert.Equal(t, "; did you mean run?", Hint("rnu", commands))
	assert.Empty(t, Hint("banana", commands))
}
