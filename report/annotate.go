package report

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/killpoint/killpoint/check"
)

// mostAnnotations of a kind are shown for a step of a job by GitHub's CI, which
// drops what comes after.
const mostAnnotations = 10

// Annotate writes what GitHub's CI shows beside a job where it runs there (the
// environment has GITHUB_ACTIONS), and else nothing: an error for each trial that
// failed or proved nothing, a notice for each that met nothing but known bugs.
// Each is a line of its own that the CI takes for a command.
func (r Run) Annotate(w io.Writer) error {
	if os.Getenv("GITHUB_ACTIONS") == "" {
		return nil
	}
	var errors, notices []Trial
	for _, t := range r.Trials {
		switch t.Verdict.State {
		case check.Pass:
		case check.Known:
			notices = append(notices, t)
		default:
			errors = append(errors, t)
		}
	}
	_, err := io.WriteString(w, annotations("error", errors)+annotations("notice", notices))
	return err
}

func annotations(kind string, trials []Trial) string {
	var b strings.Builder
	for i, t := range trials {
		if left := len(trials) - i; i == mostAnnotations-1 && left > 1 {
			fmt.Fprintf(&b, "::%s title=killpoint::%d more trials: report.html and summary.md have all\n", kind, left)
			break
		}
		text := t.verdictText()
		if f := t.failed(); f != nil {
			text = f.first()
		}
		if t.Again != "" {
			text += "\nrun it again: " + t.Again
		}
		fmt.Fprintf(&b, "::%s title=%s::%s\n", kind, property.Replace("killpoint: "+t.Name), message.Replace(text))
	}
	return b.String()
}

// What ends a command, or a part of one, is written as GitHub's CI reads it.
var (
	message  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
