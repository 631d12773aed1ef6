package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the writer writes takes the short way; what it does not, never half of it.
func TestTheShortWayIsTheWriters(t *testing.T) {
	own, err := json.Marshal(Event{Seq: 7, T: 1 << 60, Party: "engine#1", Kind: KindLog, Body: &Log{Line: `a "quoted" \ line }`}})
	require.NoError(t, err)
	_, ok := writtenHere(own)
	assert.True(t, ok, "%s", own)
	for _, other := range []string{
		"", "{", `{"seq":`, `{"seq":1`, `{"seq":-1,"t":1,"party":"p","kind":"log","body":{}}`, `{"seq":01,"t":1,"party":"p","kind":"log","body":{}}`,
		`{"t":1,"seq":1,"party":"p","kind":"log","body":{}}`, `{"seq":1,"t":1.5,"party":"p","kind":"log","body":{}}`,
		`{"seq":1,"t":1,"party":"\u0070","kind":"log","body":{}}`, `{"seq":1,"t":1,"party":"p","kind":"log","body":{}} `,
		`{"seq":1,"t":1,"party":"p","kind":"log","body": {}}`, `{"seq":1,"t":1,"party":"p","kind":"log","body":{} }`,
		`{"seq":99999999999999999999,"t":1,"party":"p","kind":"log","body":{}}`, `{"seq":1,"t":1,"party":"p`,
	} {
		_, ok := writtenHere([]byte(other))
		assert.False(t, ok, other)
	}
}

// Whatever the line, the event is the one that JSON has in it, or there is none.
func FuzzEvent(f *testing.F) {
	for _, body := range []string{`{}`, `0 `, "\t0", `{"line":"x"},"seq":9`, `[1]`, `null`, ``, `{"line":"}"}`} {
		f.Add(fmt.Appendf(nil, `{"seq":1,"t":5,"party":"p","kind":"log","body":%s}`, body))
		f.Add(fmt.Appendf(nil, `{"seq":1,"t":5,"party":"p","kind":"later","body":%s}`, body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got Event
		err := got.UnmarshalJSON(bytes.Clone(b))
		var raw rawEvent
		var want Event
		wantErr := json.Unmarshal(b, &raw)
		if wantErr == nil {
			wantErr = want.decode(raw)
		}
		require.Equal(t, wantErr == nil, err == nil, "%v, and %v", wantErr, err)
		if err == nil {
			require.Equal(t, want, got)
		}
	})
}
