package leaving

import (
	"fmt"
	"strings"
	"time"

	"github.com/killpoint/killpoint/history"
)

// Head is the head of the table that rows of [Exit.Row] belong to.
const Head = "| open work | asked to leave by | gone after | code | it waited for | the runtime's connection | stops: told, by the next engine | who had something open got | generations: kept, new | next engine: serves, first answer |\n|---|---|---:|---:|---|---|---|---|---|---|\n"

// Row is the exit as a row of a table.
func (x *Exit) Row(work string) string {
	code := fmt.Sprint(x.Code)
	if x.Killed {
		code += ", grace ended"
	}
	conn := "open to the end"
	if x.Closed != Never {
		conn = fmt.Sprintf("closed after %s", ms(x.Closed))
		if x.Reason != "" {
			conn += ", " + x.Reason
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %d, %d | %s | %d, %d | %s, %s |\n",
		work, x.how(), ms(x.Took), code, x.Waited(), conn, x.Stops, x.Replayed, x.got(), x.Kept, x.Moved, ms(x.Serves), ms(x.Answers))
}

func (x *Exit) how() string {
	if x.How == "" {
		return x.Signal
	}
	return strings.Replace(x.How, "SIGKILL after ", "grace ", 1)
}

// got is what the clients got that had something open.
func (x *Exit) got() string {
	if len(x.Clients) == 0 {
		return "-"
	}
	var said []string
	for _, c := range x.Clients {
		if c.Ended == Never {
			said = append(said, c.Name+": silence to the end of the trial")
			continue
		}
		said = append(said, fmt.Sprintf("%s: %s after %s", c.Name, c.end(), ms(c.Ended)))
	}
	return strings.Join(said, "; ")
}

// end is how the operation ended, in words.
func (c Client) end() string {
	r := c.Return
	switch {
	case r.Outcome == history.OK:
		return "its answer"
	case r.Cause == history.CauseTimeout:
		return "silence until its patience ended"
	case r.Cause == history.CauseStatus:
		return strings.TrimSpace(fmt.Sprintf("an error, %d %s", r.Status, r.Code))
	case r.Cause == history.CauseReset && r.Status >= 1000: // of a WebSocket
		return strings.TrimSpace(fmt.Sprintf("a close, %d %s", r.Status, r.Code))
	case r.Cause == history.CauseReset:
		return "a reset"
	case r.Cause == history.CauseRefused:
		return "a reset before a byte of an answer"
	case r.Cause == history.CauseStopped:
		return "still open, the trial ended"
	case r.Cause == history.CauseUnreadable:
		return "an answer cut short as if it were whole"
	}
	return string(r.Cause)
}

// ms is a duration in whole milliseconds.
func ms(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
