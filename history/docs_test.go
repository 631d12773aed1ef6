package history

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/history.md is what a reader in another language has: each kind has its
// row there, and the row each field of the kind's body.
func TestTheDocumentationHasEveryKindAndField(t *testing.T) {
	b, err := os.ReadFile("../docs/history.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); ok && rows[name] == "" {
			rows[name] = rest
		}
	}
	for kind, body := range bodies {
		row, ok := rows[string(kind)]
		assert.True(t, ok, "kind %s", kind)
		typ := reflect.TypeOf(body()).Elem()
		if typ.Kind() != reflect.Struct {
			continue
		}
		for i := range typ.NumField() {
			field, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			assert.Contains(t, row, "`"+field+"`", "kind %s", kind)
		}
	}
	for _, c := range []Cause{CauseTimeout, CauseRefused, CauseReset, CauseStatus, CauseUnreadable, CauseStopped} {
		assert.Contains(t, rows, string(c))
	}
}
