package exits

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
)

// Summary is what became of the runtime, in a line: "exit code 137 after 4.02 s:
// drained in 2011 ms, then waited 1.98 s for SIGKILL".
func (r Result) Summary() string {
	if r.Exit == nil {
		return "nothing was struck"
	}
	return fmt.Sprintf("exit code %d after %s: %s", r.Exit.Code, seconds(r.Death), r.How())
}

// How it came to its end, in words.
func (r Result) How() string {
	took, drained := r.Drained()
	waited, _ := r.Waited()
	_, swallowed := r.step(history.ShutdownSwallowed)
	var parts []string
	if drained {
		parts = append(parts, fmt.Sprintf("drained in %d ms", took.Milliseconds()))
	}
	if swallowed {
		parts = append(parts, "its re-raised signal was swallowed")
	}
	switch {
	case r.Ending == ByStrike:
		parts = append(parts, "killed")
	case r.Ending == ByKernel:
		parts = append(parts, "out of memory")
	case r.Ending == Itself && drained:
		parts = append(parts, "left "+ms(waited)+" later")
	case r.Ending == Itself:
		parts = append(parts, "left by itself")
	case drained:
		parts = append(parts, fmt.Sprintf("then waited %s for SIGKILL", seconds(waited)))
	case len(r.Steps) > 0 && !r.leaves().deaf:
		parts = append(parts, "SIGKILL in the middle of its drain")
	default:
		parts = append(parts, fmt.Sprintf("waited %s for SIGKILL", seconds(r.Death)))
	}
	return strings.Join(parts, ", ")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// short is a cell of the matrix: "143 · 2.01 s", with a mark for who ended it.
func (r Result) short() string {
	if r.Exit == nil {
		return "?"
	}
	marks := map[Ending]string{ByGrace: " G", ByUs: " S", ByKernel: " M"}
	text := fmt.Sprintf("%d · %.2f%s", r.Exit.Code, r.Death.Seconds(), marks[r.Ending])
	switch {
	case r.off():
		return "**" + text + " OFF**"
	case len(r.Known) > 0:
		return text + " K"
	}
	return text
}

// Legend says what the cells of [Table] mean.
const Legend = "Exit code, and seconds from the strike to the death. G: SIGKILL, because the grace of the stop ran out; S: it stayed, and was killed after the patience of the matrix; M: out of memory; no mark: it left by itself, or was killed by the strike; OFF: not as expected; K: not as expected either, by a known bug of the engine, which the list of cases names; as drain, as TERM: not carried out, since nothing in it differs from that case."

// Table is the matrix in Markdown: a row for each behaviour and place, a column for
// each strike.
func Table(results []Result) string { return table(results, Result.short) }

// SeenLegend says what the cells of [Seen] mean.
const SeenLegend = "Stop hooks that ran, of two actors, and abort hooks (1+1) where one ran · the write in flight (a: answered; r: answered by the next generation, to which the gateway sent it again, that it is booked already; t: its client's patience ended; any other end in full) · requests of the client that asks all the while that failed, until the first answer after the death · seconds from the death to that answer, the runtime being started again at once."

// Seen is a table of the same form: what ran, and what clients saw.
func Seen(results []Result) string {
	return table(results, func(r Result) string {
		failed := 0
		for _, n := range r.Clients.Failed {
			failed += n
		}
		return fmt.Sprintf("%s · %s · %d · %.1f", r.hooks(), r.InFlight.short(), failed, r.Clients.Back.Seconds())
	})
}

func (r Result) hooks() string {
	if r.AbortHooks == 0 {
		return strconv.Itoa(r.StopHooks)
	}
	return fmt.Sprintf("%d+%d", r.StopHooks, r.AbortHooks)
}

func (w Write) short() string {
	switch end := endOf(&w.Return); {
	case w.Outcome == history.OK:
		return "a"
	case w.Code == "user.operation_repeated":
		return "r"
	case w.Cause == history.CauseTimeout:
		return "t"
	default:
		return end
	}
}

// Totals say in a line how many cases there are, how many of them are as expected,
// and what was lost.
func Totals(results []Result) string {
	off, known, acked, lost := 0, "", 0, 0
	met := map[string]int{}
	for _, r := range results {
		acked, lost = acked+r.Acked, lost+len(r.Lost)
		switch {
		case r.off():
			off++
		case len(r.Known) > 0:
			met[strings.Join(r.Known, " and ")]++
		}
	}
	for _, bugs := range slices.Sorted(maps.Keys(met)) {
		known += fmt.Sprintf(", %d by the known bug %s", met[bugs], bugs)
	}
	return fmt.Sprintf("%d cases, %d not as expected%s; %d acknowledged writes, %d lost", len(results), off, known, acked, lost)
}

func table(results []Result, text func(Result) string) string {
	var b strings.Builder
	b.WriteString("| behaviour | place |")
	for _, s := range Strikes {
		fmt.Fprintf(&b, " %s |", s)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(Strikes)) + "\n")
	for _, l := range Lanes() {
		row := fmt.Sprintf("| `%s` | %s |", l.Behaviour, l.Place)
		found := false
		for _, s := range Strikes {
			of, ok := cell(results, Case{l.Behaviour, l.Place, s}, text)
			found = found || ok
			row += " " + of + " |"
		}
		if found {
			b.WriteString(row + "\n")
		}
	}
	return b.String()
}

// cell is false where the case was not carried out.
func cell(results []Result, c Case, text func(Result) string) (string, bool) {
	if why := c.Skipped(); why != "" {
		return why, false
	}
	i := slices.IndexFunc(results, func(r Result) bool { return r.Case == c })
	if i < 0 {
		return "-", false
	}
	return text(results[i]), true
}

// Details is a row in Markdown for each case: how it ended, what its clients saw,
// what ran and what was kept, and why.
func Details(results []Result) string {
	var b strings.Builder
	b.WriteString("| case | code | after | how | stop hooks, of 2 | abort hooks | the write in flight | clients meanwhile: at once, held, failed | worst wait | first answer after the death | WebSocket | lost | why |\n")
	b.WriteString("|---|---:|---:|---|---:|---:|---|---|---:|---:|---|---:|---|\n")
	for _, r := range sorted(results) {
		if r.Exit == nil {
			fmt.Fprintf(&b, "| %s | | | not carried out: %s |\n", r.Case, flat(r.Error))
			continue
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %d | %d | %s | %s | %s | %s | %s | %d | %s |\n",
			r.Case, r.Exit.Code, seconds(r.Death), r.How(), r.StopHooks, r.AbortHooks, r.write(), r.Clients.counts(),
			ms(r.Clients.Worst), r.Clients.back(), r.Clients.Socket, len(r.Lost), r.why())
	}
	return b.String()
}

// why is the reason, or what is wrong.
func (r Result) why() string {
	wrong := r.Wrong()
	switch {
	case len(wrong) == 0:
		return r.Expected().Why
	case len(r.Known) > 0:
		return "known, " + strings.Join(r.Known, " and ") + ": " + flat(strings.Join(wrong, "; "))
	}
	return "**OFF**: " + flat(strings.Join(wrong, "; "))
}

func flat(s string) string { return strings.NewReplacer("\n", " ", "|", "/").Replace(s) }

func (r Result) write() string {
	text := endOf(&r.InFlight.Return) + " in " + seconds(r.InFlight.Took)
	switch {
	case r.InFlight.Outcome == history.OK && r.InFlight.Kept:
		return text + ", kept"
	case r.InFlight.Kept:
		return text + ", kept all the same"
	}
	return text + ", not kept"
}

func (c Clients) counts() string {
	text := fmt.Sprintf("%d, %d, ", c.Quick, c.Slow)
	if len(c.Failed) == 0 {
		return text + "0"
	}
	var parts []string
	for what, n := range c.Failed {
		parts = append(parts, fmt.Sprintf("%d × %s", n, what))
	}
	slices.Sort(parts)
	return text + strings.Join(parts, " and ")
}

func (c Clients) back() string {
	if c.Back < 0 {
		return "never"
	}
	return seconds(c.Back)
}

// sorted are the results in the order of the matrix.
func sorted(results []Result) []Result {
	all := Matrix()
	out := slices.Clone(results)
	slices.SortStableFunc(out, func(a, b Result) int { return slices.Index(all, a.Case) - slices.Index(all, b.Case) })
	return out
}
