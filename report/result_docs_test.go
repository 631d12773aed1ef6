package report

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/check"
	"github.com/killpoint/killpoint/window"
)

const (
	resultDocs   = "../docs/result.md"
	resultSchema = "../docs/result.schema.json"
)

// words are the values that a text may have, by its type.
var vocabulary = map[reflect.Type][]any{
	reflect.TypeFor[check.State]():  {check.Pass, check.Known, check.Fail, check.Inconclusive},
	reflect.TypeFor[Judged]():       {JudgedThen, JudgedAgain, JudgedAlone},
	reflect.TypeFor[window.Class](): {window.Answered, window.Held, window.TimedOut, window.Refused, window.Errored, window.CutOff},
}

// schemaOf is the JSON Schema of what encoding/json makes of a type.
func schemaOf(t reflect.Type) map[string]any {
	if words, ok := vocabulary[t]; ok {
		return map[string]any{"enum": words}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Struct:
		return objectOf(t)
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer"}
	}
	return map[string]any{"type": "string"}
}

func objectOf(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		properties[name] = schemaOf(t.Field(i).Type)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	// A later version may add fields: a reader leaves alone what it does not know.
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// The schema is what this version writes. `go test ./report -update` writes the
// file anew.
func TestTheSchemaIsThatOfTheResult(t *testing.T) {
	schema := schemaOf(reflect.TypeFor[result]())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "killpoint's result.json"
	properties := schema["properties"].(map[string]any)
	properties["format"] = map[string]any{"const": resultFormat}
	properties["version"] = map[string]any{"const": resultVersion}
	want, err := json.MarshalIndent(schema, "", "  ")
	require.NoError(t, err)
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(resultSchema, append(want, '\n'), 0o644))
	}
	got, err := os.ReadFile(resultSchema)
	require.NoError(t, err)
	assert.Equal(t, string(want)+"\n", string(got))
}

// docs/result.md is for people: each object has its table there, with a row for
// each of its fields.
func TestTheDocumentationHasEveryFieldOfTheResult(t *testing.T) {
	b, err := os.ReadFile(resultDocs)
	require.NoError(t, err)
	tables := map[string]string{}
	for _, part := range strings.Split(string(b), "\n## ")[1:] {
		heading, rest, _ := strings.Cut(part, "\n")
		tables[heading] = rest
	}
	for heading, typ := range map[string]reflect.Type{
		"The run": reflect.TypeFor[result](), "A trial": reflect.TypeFor[trialResult](), "A repeat": reflect.TypeFor[attemptResult](),
		"A verdict": reflect.TypeFor[check.Verdict](), "A finding": reflect.TypeFor[check.Finding](),
		"A failure": reflect.TypeFor[failureResult](), "A step": reflect.TypeFor[stepResult](), "A witness": reflect.TypeFor[witnessResult](),
		"A log": reflect.TypeFor[logResult](), "An outage": reflect.TypeFor[outageResult](), "A probe": reflect.TypeFor[rowResult](),
		"A phase": reflect.TypeFor[phaseResult](),
	} {
		table, ok := tables[heading]
		assert.True(t, ok, heading)
		for i := range typ.NumField() {
			field, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			assert.Contains(t, table, "\n| `"+field+"` |", heading)
		}
		for _, words := range vocabulary {
			for _, w := range words {
				assert.Contains(t, string(b), "`"+reflect.ValueOf(w).String()+"`")
			}
		}
	}
}
