package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/report/picture"
	"github.com/killpoint/killpoint/window"
)

func outage(n int) picture.Outage {
	var trials [][]window.Part
	var windows []time.Duration
	for i := range n {
		spread := time.Duration(i) * 10 * time.Millisecond
		parts := []window.Part{
			{Phase: window.Draining, Took: 5 * time.Second}, {Phase: window.Down, Took: 200 * time.Microsecond},
			{Phase: window.Reconnecting, Took: 2*time.Second + spread}, {Phase: window.Answering, Took: 30 * time.Millisecond},
			{Phase: window.Unattributed},
		}
		trials, windows = append(trials, parts), append(windows, 7030200*time.Microsecond+spread)
	}
	return picture.Outage{Title: `stop <of> "one" & all`, Note: "of a < b", Window: window.Distribute(windows), Phases: window.SpreadPhases(trials)}
}

// texts are what the picture says; it has to be well-formed.
func texts(t *testing.T, svg []byte) string {
	t.Helper()
	var out strings.Builder
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok {
			out.Write(text)
			out.WriteByte('\n')
		}
	}
}

func TestPhases(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, picture.Phases(&b, outage(30)))
	said := texts(t, b.Bytes())
	for _, text := range []string{`stop <of> "one" & all`, "of a < b", "engine draining", "2.15 s", "2 s to 2.29 s", "worst 7.32 s of 30 trials", "unattributed", "prefers-color-scheme:dark"} {
		assert.Contains(t, said, text)
	}
	assert.NotContains(t, said, "\ndown\n", "it took a millisecond in no trial")
	for _, outside := range []string{"http://", "https://", "href", "<script", "url("} {
		assert.NotContains(t, strings.ReplaceAll(b.String(), `xmlns="http://www.w3.org/2000/svg"`, ""), outside)
	}
}

// The same trials make the same picture, so that a change of it is one of theirs.
func TestPhasesAreDrawnTheSameEachTime(t *testing.T) {
	var a, b bytes.Buffer
	require.NoError(t, picture.Phases(&a, outage(9)))
	require.NoError(t, picture.Phases(&b, outage(9)))
	assert.Equal(t, a.String(), b.String())
}

func TestPhasesOfAFewTrials(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, picture.Phases(&b, outage(1)))
	assert.Contains(t, texts(t, b.Bytes()), "95 %: too few trials")
}
