package report

// Judged says where a trial's verdict comes from.
type Judged string

// The ways to a verdict. A trial of the run at hand has none to tell.
const (
	// JudgedThen: it was given when the trial ran, and is kept in result.json. The
	// history was read again, the verdict was not formed again.
	JudgedThen Judged = "then"
	// JudgedAgain: it was formed again, by the invariants of this version.
	JudgedAgain Judged = "again"
	// JudgedAlone: nothing but the history was there, and the invariants that need
	// no more formed it. The scenario's own were not asked.
	JudgedAlone Judged = "alone"
)

func (j Judged) text() string {
	switch j {
	case JudgedThen:
		return "The verdict is the one that was given when the trial ran; it was not formed again."
	case JudgedAgain:
		return "The verdict was formed again from the stored history."
	case JudgedAlone:
		return "No verdict was stored. This one was formed from the history alone, by the invariants that every trial is held to; those of its scenario were not asked."
	}
	return ""
}
