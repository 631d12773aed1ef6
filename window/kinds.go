package window

import "slices"

// Kind is what tells probes apart that are no sample of each other.
type Kind struct {
	Probe string // as [probe.ProbeName] or [probe.BesideName]
	Via   string // "http", "websocket"
	Name  string // the operation: "health", "ping"
}

func (k Kind) String() string { return k.Probe + " " + k.Name + " by " + k.Via }

// Kinds are those of the outages' rows, the sweeps' own first, each once.
func Kinds(outages []*Outage) []Kind {
	var kinds []Kind
	add := func(rows []Row) {
		for _, row := range rows {
			if !slices.Contains(kinds, row.Kind) {
				kinds = append(kinds, row.Kind)
			}
		}
	}
	for _, o := range outages {
		add(o.Rows)
	}
	for _, o := range outages {
		add(o.Beside)
	}
	return kinds
}

// Of is the outage as only probes of that kind saw it: what [Together] and
// [EdgesOf] say of it is of that kind alone.
func (o *Outage) Of(k Kind) *Outage {
	of := *o
	of.Rows, of.Beside, of.First, of.Last = nil, nil, 0, 0
	for _, row := range slices.Concat(o.Rows, o.Beside) {
		if row.Kind == k {
			of.Rows = append(of.Rows, row)
		}
	}
	of.answers()
	return &of
}
