// Package environ reads the settings of a process of an image from its environment.
package environ

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Row is a setting: its name without the table's prefix, what it is where it is not
// given or empty, and who reads it into a C.
type Row[C any] struct {
	Name, Otherwise string
	Read            func(c *C, v string) error
}

// Table is all the settings of a process.
type Table[C any] struct {
	// Prefix is in front of every name.
	Prefix string
	// Foreign are names, without the prefix, that belong to somebody else: no
	// settings, but no mistakes either.
	Foreign []string
	Rows    []Row[C]
}

// Read reads an environment, as os.Environ returns it. All that is wrong comes as
// one error. A name with the prefix that is no setting is an error: it is a slip of
// somebody who believes it to work.
func (t Table[C]) Read(environ []string) (C, error) {
	var c C
	given, err := t.given(environ)
	errs := []error{err}
	for _, row := range t.Rows {
		v := given[row.Name]
		if v == "" {
			v = row.Otherwise
		}
		if err := row.Read(&c, v); err != nil {
			errs = append(errs, fmt.Errorf("%s%s: %w", t.Prefix, row.Name, err))
		}
	}
	return c, errors.Join(errs...)
}

func (t Table[C]) given(environ []string) (map[string]string, error) {
	known := map[string]bool{}
	var names []string
	for _, row := range t.Rows {
		known[row.Name] = true
		names = append(names, t.Prefix+row.Name)
	}
	for _, name := range t.Foreign {
		known[name] = true
	}
	given := map[string]string{}
	var errs []error
	for _, kv := range environ {
		name, v, _ := strings.Cut(kv, "=")
		short, ours := strings.CutPrefix(name, t.Prefix)
		switch {
		case !ours:
		case !known[short]:
			errs = append(errs, fmt.Errorf("%.80s: there is no such setting%s", name, suggest.Hint(name, names)))
		default:
			given[short] = v
		}
	}
	return given, errors.Join(errs...)
}

// Into reads a value by parse.
func Into[T any](to *T, v string, parse func(string) (T, error)) (err error) {
	*to, err = parse(v)
	return err
}

// Address checks an address to listen at.
func Address(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%.80q is no address: use HOST:PORT or :PORT", v)
	}
	return nil
}
