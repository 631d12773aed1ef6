package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Format and Version identify the file. Version grows when an old reader would
// misread a new file.
const (
	Format  = "killpoint-trial"
	Version = 1
)

// file is the trial as it is stored.
type file struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Trial
	Patience span `json:"patience,omitempty"`
	Bound    span `json:"bound,omitempty"`
}

// span is a duration as people write it: "250ms".
type span time.Duration

func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%.40q is no time: want one as in 250ms", b)
	}
	*s = span(d)
	return nil
}

// Encode renders the trial.
func (t Trial) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(file{Format, Version, t, span(t.Patience), span(t.Bound)}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode trial %s: %w", t.Name, err)
	}
	return append(b, '\n'), nil
}

// Parse reads a trial and validates it. A field that is not known is refused,
// with the one that may be meant.
func Parse(b []byte) (Trial, error) {
	var f file
	if err := decode(b, &f); err != nil {
		return Trial{}, err
	}
	switch {
	case f.Format != Format:
		return Trial{}, fmt.Errorf("format %.40q: want %q", f.Format, Format)
	case f.Version != Version:
		return Trial{}, fmt.Errorf("version %d: this killpoint reads version %d", f.Version, Version)
	}
	t := f.Trial
	t.Patience, t.Bound = time.Duration(f.Patience), time.Duration(f.Bound)
	return t, t.Validate()
}

func decode(b []byte, f *file) error {
	if err := unknownFields("", b, reflect.TypeFor[file]()); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return place(b, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the trial's closing brace")
	}
	return nil
}

// place says where in the text a mistake is, in one line.
func place(b []byte, err error) error {
	at := int64(-1)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &wrong):
		at = wrong.Offset
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("it ends in the middle")
	}
	if at < 0 || at > int64(len(b)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:at], []byte("\n")), err)
}

// unknownFields compares the keys of an object, and of those inside, with the
// fields of the type.
func unknownFields(path string, b []byte, t reflect.Type) error {
	switch {
	case t.Kind() == reflect.Slice:
		var list []json.RawMessage
		if json.Unmarshal(b, &list) != nil {
			return nil // the decoder will say it
		}
		for i, one := range list {
			if err := unknownFields(fmt.Sprintf("%s[%d]", path, i), one, t.Elem()); err != nil {
				return err
			}
		}
		return nil
	case t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[file]().PkgPath():
		return nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(b, &object) != nil {
		return nil // likewise
	}
	fields := fieldsOf(t)
	names := slices.Sorted(maps.Keys(fields))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		inner, known := fields[name]
		if !known {
			return suggest.Unknown(fieldKind(path), name, names)
		}
		if err := unknownFields(strings.TrimPrefix(path+"."+name, "."), object[name], inner); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf are the fields by their JSON names, embedded ones' with them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous:
			maps.Copy(out, fieldsOf(f.Type))
		default:
			out[name] = f.Type
		}
	}
	return out
}

func fieldKind(path string) string {
	if path == "" {
		return "field"
	}
	return "field of " + path
}
