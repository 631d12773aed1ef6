// Package explore strikes at every point of a protocol: it carries a workload
// out once untouched, lists what could be seen on the way, and carries it out
// again for each of that with a fault there. It repeats recorded trials, and
// finds the smallest that still fails.
package explore

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
	"github.com/killpoint/killpoint/moment"
	"github.com/killpoint/killpoint/spec"
)

// Point is a strike at one place of the golden run.
type Point struct {
	// N numbers the points of an exploration from 1, in the order of their places.
	N int `json:"n"`
	// Place numbers the frames and breakpoints of the golden run from 1, in the
	// order in which they came.
	Place int `json:"place"`
	// Op is the operation that was under way there in the golden run, by its
	// place in the workload from 1; 0: none was.
	Op     int         `json:"op"`
	OpName string      `json:"op_name,omitempty"`
	Strike spec.Strike `json:"strike"`
	// Timed: the place comes by time, not by what the workload does, so that it
	// may lie elsewhere in another run.
	Timed bool `json:"timed,omitempty"`
}

// Series is what the points have in common that are each other's neighbours.
func (p Point) Series() string {
	side := "at"
	if f, ok := p.Strike.At.AtFrame(); ok {
		side = string(f.Side)
	}
	return fmt.Sprintf("%s %s, %s", p.Strike.Fault, p.Strike.Target, side)
}

// Slug names the point's folder.
func (p Point) Slug() string {
	return fmt.Sprintf("%04d-%s-%s", p.N, p.Strike.Target, strings.ReplaceAll(string(p.Strike.Fault), ":", "-"))
}

// Plan is what an exploration strikes with, and where. Its zero fields mean
// everything.
type Plan struct {
	Targets []spec.Target `json:"targets"`
	Faults  []spec.Fault  `json:"faults"`
	Sides   []moment.Side `json:"sides"`
	// NoFrames and NoBreakpoints leave these out.
	NoFrames      bool `json:"no_frames,omitempty"`
	NoBreakpoints bool `json:"no_breakpoints,omitempty"`
	// Timed takes in what comes by time: pings, and polls of the runtime's metadata.
	Timed bool `json:"timed,omitempty"`
	// Sample takes that many of the points by chance, drawn from Seed. 0: all.
	Sample int    `json:"sample,omitempty"`
	Seed   uint64 `json:"seed,string"`
}

// WithDefaults is the plan with everything that its empty fields mean.
func (p Plan) WithDefaults() Plan {
	if len(p.Targets) == 0 {
		p.Targets = []spec.Target{spec.OnEngine, spec.OnRuntime}
	}
	if len(p.Faults) == 0 {
		p.Faults = []spec.Fault{"kill", "stop", "pause"}
	}
	if len(p.Sides) == 0 {
		p.Sides = []moment.Side{moment.BeforeDelivery, moment.AfterDelivery}
	}
	return p
}

// Validate says what is wrong with it.
func (p Plan) Validate() error {
	for _, f := range p.Faults {
		if _, _, err := f.Parse(); err != nil {
			return err
		}
	}
	for _, t := range p.Targets {
		if err := (spec.Strike{Target: t, Fault: "kill"}).Validate(); err != nil {
			return err
		}
	}
	if p.Sample < 0 {
		return fmt.Errorf("a sample of %d points: want a number from 1 on, or 0 for all", p.Sample)
	}
	if p.NoFrames && p.NoBreakpoints {
		return fmt.Errorf("neither frames nor breakpoints: there is nowhere to strike")
	}
	return nil
}

// place is one thing that the golden run passed.
type place struct {
	at    func(moment.Side) moment.Moment
	sides []moment.Side // nil for what has none
	t     clock.Mono
	timed bool
}

// Points are all points of the plan, in the order of the golden run. The places
// of frames come from golden, those of breakpoints from listing: a run in which
// they were armed, and let go at once.
func (p Plan) Points(golden, listing *history.History) []Point {
	p = p.WithDefaults()
	var places []place
	if !p.NoFrames {
		places = append(places, p.frames(golden)...)
	}
	ops := opsOf(golden)
	var points []Point
	add := func(n int, pl place, op int, name string, side moment.Side) {
		for _, target := range p.Targets {
			for _, f := range p.Faults {
				points = append(points, Point{
					Place: n, Op: op, OpName: name, Timed: pl.timed,
					Strike: spec.Strike{At: pl.at(side), Target: target, Fault: f},
				})
			}
		}
	}
	each := func(n int, pl place, in []*opRun) {
		op, name := 0, ""
		if o := under(in, pl.t); o != nil {
			op, name = o.n, o.name
		}
		if pl.sides == nil {
			add(n, pl, op, name, "")
		}
		for _, side := range pl.sides {
			add(n, pl, op, name, side)
		}
	}
	for i, pl := range places {
		each(i+1, pl, ops)
	}
	if listing != nil && !p.NoBreakpoints {
		inListing := opsOf(listing)
		for i, pl := range breakpoints(listing) {
			each(len(places)+i+1, pl, inListing)
		}
	}
	for i := range points {
		points[i].N = i + 1
	}
	return p.sample(points)
}

// sample keeps the order, and the numbers that the points have among all.
func (p Plan) sample(points []Point) []Point {
	if p.Sample == 0 || p.Sample >= len(points) {
		return points
	}
	r := rand.New(rand.NewPCG(p.Seed, 0))
	r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	points = points[:p.Sample]
	slices.SortFunc(points, func(a, b Point) int { return cmp.Compare(a.N, b.N) })
	return points
}

// frames are the places of the frames that came while the workload was at work.
func (p Plan) frames(h *history.History) []place {
	from, until := workSpan(h)
	var places []place
	counts := map[frameKind]int{}
	for _, e := range h.ByTime() {
		f, ok := e.Body.(*history.Frame)
		if !ok || f.What != "arrived" || e.T < from || e.T > until {
			continue
		}
		kind := frameKind{f.Wire, f.Direction, f.Type, f.Detail, f.Key}
		// A rule with an empty field takes any frame in it, so that what it counts
		// is more than the frames of this kind.
		nth := 1
		for k, n := range counts {
			if kind.takes(k) {
				nth += n
			}
		}
		counts[kind]++
		if timed(f) && !p.Timed {
			continue
		}
		what := f.Type
		if f.Detail != "" {
			what += "/" + f.Detail
		}
		places = append(places, place{
			at: func(side moment.Side) moment.Moment {
				return moment.Frame(what, nth, side).On(f.Wire, f.Direction).Of(f.Key)
			},
			sides: p.Sides, t: e.T, timed: timed(f),
		})
	}
	return places
}

// frameKind is what a frame's moment can tell frames apart by.
type frameKind struct{ wire, direction, typ, detail, key string }

// takes is whether a rule that was made for frames of this kind counts those of
// the other.
func (k frameKind) takes(other frameKind) bool {
	any := func(want, is string) bool { return want == "" || want == is }
	return any(k.wire, other.wire) && any(k.direction, other.direction) && any(k.typ, other.typ) &&
		any(k.detail, other.detail) && any(k.key, other.key)
}

// timed frames come when their time has come: pings on every wire, and what the
// engine asks of the runtime's health and metadata, with the answers.
func timed(f *history.Frame) bool {
	about, what, _ := strings.Cut(f.Type, "-")
	if f.Wire == "serverless" && (about == "health" || about == "metadata") {
		return true
	}
	return slices.Contains([]string{"ping", "pong"}, about) || slices.Contains([]string{"ping", "pong"}, what)
}

// breakpoints are the places at which an actor was held, each once.
func breakpoints(h *history.History) []place {
	var places []place
	seen := map[string]bool{}
	for _, e := range h.ByTime() {
		b, ok := e.Body.(*history.Breakpoint)
		if !ok || b.What != "reached" || seen[b.Name] {
			continue
		}
		seen[b.Name] = true
		places = append(places, place{at: func(moment.Side) moment.Moment { return moment.Breakpoint(b.Name) }, t: e.T})
	}
	return places
}

// workSpan is from the first operation's invoke to the end of all work.
func workSpan(h *history.History) (from, until clock.Mono) {
	for _, e := range h.ByTime() {
		if _, ok := e.Body.(*history.Invoke); ok {
			return e.T, workOver(h)
		}
	}
	return never, never
}

// under is the operation that was under way at the time.
func under(ops []*opRun, t clock.Mono) *opRun {
	for _, o := range ops {
		if o.begun <= t && t <= o.ended {
			return o
		}
	}
	return nil
}
