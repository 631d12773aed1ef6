package compare

import (
	"context"
	"fmt"
)

// CarryOut carries out so many more trials of each side. It carries out the two
// sides of a pair beside each other, so that they share what the host does.
type CarryOut func(ctx context.Context, more int) (a, b []Trial, err error)

// Sequence carries trials of two sides out, so many of each at a time, until it
// is decided which is worse, or there were as many as the rule allows.
// On an error it returns what it has until then.
func (r Rule) Sequence(ctx context.Context, a, b Side, atATime int, carryOut CarryOut) (Result, error) {
	for done := 0; done < r.Trials; {
		more := min(max(atATime, 1), r.Trials-done)
		moreA, moreB, err := carryOut(ctx, more)
		a.Trials, b.Trials = append(a.Trials, moreA...), append(b.Trials, moreB...)
		if err != nil {
			return r.Compare(a, b), fmt.Errorf("carry out trials %d to %d of %s and %s: %w", done+1, done+more, a.Name, b.Name, err)
		}
		done += more
		if d, _ := r.Decide(a, b); d != Undecided {
			break
		}
	}
	return r.Compare(a, b), nil
}
