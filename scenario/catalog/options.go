package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MostRepeats bounds how many actors a sweep asks at each delay: each is one
// that the engine has to place anew.
const MostRepeats = 20

// ParseDelays reads delays as "0,250ms,3s", each below bound; "" is [Delays].
func ParseDelays(text string, bound time.Duration) ([]time.Duration, error) {
	if text == "" {
		return Delays, nil
	}
	var list []time.Duration
	for part := range strings.SplitSeq(text, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(part))
		switch {
		case err != nil:
			return nil, fmt.Errorf("the delay %q is no duration: write it as in 0,250ms,3s", part)
		case d < 0 || d >= bound:
			return nil, fmt.Errorf("the delay %v is not between 0 and the sweep's bound of %v", d, bound)
		case slices.Contains(list, d):
			return nil, fmt.Errorf("the delay %v is there twice: the repeats say how many actors are asked at each", d)
		}
		list = append(list, d)
	}
	return list, nil
}

// ParseRepeats reads how many actors are asked at each delay; "" is 1.
func ParseRepeats(text string) (int, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MostRepeats {
		return 0, fmt.Errorf("%q actors at each delay: it must be a whole number from 1 to %d", text, MostRepeats)
	}
	return n, nil
}
