package check

// findings are those of the parts of an invariant: of each actor, say.
type findings []Finding

func (f *findings) add(one Finding) { *f = append(*f, one) }

// sum is the first finding of the worst state, so that what is undecided in
// one part does not hide what failed in another. Where all parts passed it is
// passed with the format; where there are none, undecided.
func (f findings) sum(format string, args ...any) Finding {
	if len(f) == 0 {
		return undecided("the history has nothing to check it on")
	}
	worst := f[0]
	for _, one := range f[1:] {
		if Worse(worst.State, one.State) != worst.State {
			worst = one
		}
	}
	if worst.State == Pass {
		return passed(format, args...)
	}
	return worst
}
