package runner

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// ParseSeed reads a run's seed; "" draws one that a person can type.
func ParseSeed(text string) (uint64, error) {
	if text == "" {
		return 1 + rand.Uint64N(1_000_000), nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("the seed %q is no whole number from 1 on", text)
	}
	return n, nil
}
