package report

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/killpoint/killpoint/history"
)

// block is a history as the page keeps it: JSON in columns, compressed, and
// written in letters that end no element of HTML. The page reads it when its trial
// is opened. A column of numbers costs a tenth of the lines that it comes from.
type block []byte

// widestLog is how many characters of a line of a log the page has.
const widestLog = 2000

// newBlock encodes the history; logs are those of its incarnations.
func newBlock(h *history.History, logs []*partyLog) (block, error) {
	var out bytes.Buffer
	letters := base64.NewEncoder(base64.StdEncoding, &out)
	// The fastest level takes a third of the default's time and a fifth more room.
	zip, err := gzip.NewWriterLevel(letters, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress the history of %s for the page: %w", h.Header.Trial, err)
	}
	buffer := bufio.NewWriterSize(zip, 64<<10)
	c := columns{w: buffer}
	c.lanes(draw(h), newTeller(h), logs)
	for _, flush := range []func() error{buffer.Flush, zip.Close, letters.Close} {
		if err := flush(); err != nil && c.err == nil {
			c.err = err
		}
	}
	if c.err != nil {
		return nil, fmt.Errorf("encode the history of %s for the page: %w", h.Header.Trial, c.err)
	}
	return out.Bytes(), nil
}

// columns writes JSON piece by piece: all words of a large history at once would
// be as large as the history.
type columns struct {
	w       io.Writer
	err     error
	scratch []byte
}

func (c *columns) raw(s string) {
	if c.err == nil {
		_, c.err = io.WriteString(c.w, s)
	}
}

func (c *columns) value(v any) {
	b, err := json.Marshal(v)
	if c.err == nil {
		c.err = err
	}
	c.raw(string(b))
}

func (c *columns) bytes(b []byte) {
	c.scratch = b
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

// text writes as it is what needs no escape, which is nearly all of a history.
func (c *columns) text(s string) {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			c.value(s)
			return
		}
	}
	c.bytes(append(append(append(c.scratch[:0], '"'), s...), '"'))
}

func (c *columns) field(name string, v any) {
	c.raw(`"` + name + `":`)
	c.value(v)
	c.raw(",")
}

// column writes an array of n values.
func (c *columns) column(name string, n int, at func(int) any) {
	c.raw(`"` + name + `":[`)
	for i := range n {
		if i > 0 {
			c.raw(",")
		}
		switch v := at(i).(type) {
		case int64:
			c.bytes(strconv.AppendInt(c.scratch[:0], v, 10))
		case string:
			c.text(v)
		default:
			c.value(v)
		}
	}
	c.raw("],")
}

// lanes writes everything. Times are microseconds: of events since the one
// before, of all else since the first event.
func (c *columns) lanes(l *lanes, tell teller, logs []*partyLog) {
	c.raw("{")
	parties, styles := newTexts(), newTexts()
	c.column("t", len(l.events), func(i int) any {
		return l.micros(l.events[i].T) - l.micros(l.events[max(0, i-1)].T)
	})
	c.column("seq", len(l.events), func(i int) any { return int64(l.events[i].Seq) })
	c.column("party", len(l.events), func(i int) any { return parties.number(l.events[i].Party) })
	c.column("row", len(l.events), func(i int) any { return int64(l.marks[i].row) })
	c.column("style", len(l.events), func(i int) any { return styles.number(string(l.marks[i].style)) })
	c.column("words", len(l.events), func(i int) any { return tell.words(l.events[i]) })
	c.raw(`"bars":{`)
	c.column("row", len(l.bars), func(i int) any { return int64(l.bars[i].row) })
	c.column("from", len(l.bars), func(i int) any { return int64(l.bars[i].from) })
	c.column("to", len(l.bars), func(i int) any { return int64(l.bars[i].to) })
	c.column("t", len(l.bars), func(i int) any { return l.micros(l.bars[i].begin) })
	c.column("d", len(l.bars), func(i int) any { return l.bars[i].end.Sub(l.bars[i].begin).Microseconds() })
	c.column("style", len(l.bars), func(i int) any { return styles.number(string(l.bars[i].style)) })
	c.field("level", l.levels())
	c.field("label", l.labels(tell))
	c.raw(`"n":` + fmt.Sprint(len(l.bars)) + "},")
	c.logs(l, logs)
	c.field("rows", l.rows)
	c.field("parties", parties.list)
	c.field("styles", styles.list)
	c.raw(`"origin":` + fmt.Sprint(l.micros(l.origin())) + "}")
}

func (c *columns) logs(l *lanes, logs []*partyLog) {
	c.raw(`"logs":[`)
	for n, log := range logs {
		if n > 0 {
			c.raw(",")
		}
		c.raw("{")
		c.field("party", log.party())
		c.field("end", log.ending())
		c.column("t", len(log.lines), func(i int) any { return l.micros(log.lines[i].t) })
		c.column("stream", len(log.lines), func(i int) any { return log.lines[i].stream })
		c.column("line", len(log.lines), func(i int) any { return cutAt(log.lines[i].text, widestLog) })
		c.raw(`"n":` + fmt.Sprint(len(log.lines)) + "}")
	}
	c.raw("],")
}

// levels are, by the number of their bar, how busy the host was, in percent.
func (l *lanes) levels() map[int]int {
	out := map[int]int{}
	for i, b := range l.bars {
		if n, ok := l.events[b.from].Body.(*history.Noise); ok {
			out[i] = int(100 * n.Busy)
		}
	}
	return out
}

// labels are, by the number of their bar, what is written into it: of the steps
// what the plan calls them.
func (l *lanes) labels(tell teller) map[int]string {
	out := map[int]string{}
	for i, b := range l.bars {
		switch body := l.events[b.from].Body.(type) {
		case *history.Step:
			out[i] = tell.step(body.N)
		case *history.Fault:
			if l.rows[b.row].Lane == laneFaults {
				out[i] = body.Kind
			}
		}
	}
	return out
}

// texts gives each text a number, in the order in which they come.
type texts struct {
	list []string
	of   map[string]int64
}

func newTexts() *texts { return &texts{list: []string{}, of: map[string]int64{}} }

func (n *texts) number(s string) int64 {
	i, ok := n.of[s]
	if !ok {
		i = int64(len(n.list))
		n.of[s] = i
		n.list = append(n.list, s)
	}
	return i
}
