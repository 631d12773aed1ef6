// Package settings takes the settings of a command from its flags, then from
// the environment, then from a file, and says where each came from.
package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/killpoint/killpoint/internal/suggest"
)

// Prefix begins the name of each setting in the environment.
const Prefix = "KILLPOINT_"

// Setting is one that is in force.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Source is "flag", the name of an environment variable, a file with its
	// line, "default", or what else decided it.
	Source string `json:"source"`
}

// Settings of one command, by name.
type Settings []Setting

// Set changes the setting, or adds it.
func (s *Settings) Set(name, value, source string) {
	if i := slices.IndexFunc(*s, func(one Setting) bool { return one.Name == name }); i >= 0 {
		(*s)[i] = Setting{name, value, source}
		return
	}
	*s = append(*s, Setting{name, value, source})
	slices.SortFunc(*s, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
}

// Variable is how the environment calls a setting.
func Variable(name string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Resolve gives each flag that was not set the value that the environment has
// for it, else the file's, and returns what is in force. An empty variable is
// none. Flags named in except are no settings; file may be nil.
func Resolve(flags *pflag.FlagSet, lookup func(string) (string, bool), file *File, command string, except ...string) (Settings, error) {
	var s Settings
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if err != nil || slices.Contains(except, f.Name) {
			return
		}
		source := "default"
		variable := Variable(f.Name)
		value, inEnv := lookup(variable)
		entry, inFile := file.value(command, f.Name)
		switch {
		case f.Changed:
			source = "flag"
		case inEnv && value != "":
			source = variable
			err = set(flags, f, value, source)
		case inFile:
			source = entry.where
			err = set(flags, f, entry.value, source)
		}
		s.Set(f.Name, f.Value.String(), source)
	})
	return s, err
}

func set(flags *pflag.FlagSet, f *pflag.Flag, value, source string) error {
	// Not the error of pflag's Set, which speaks of a flag that nobody gave.
	if err := f.Value.Set(value); err != nil {
		return fmt.Errorf("%s: %s = %q: %w", source, f.Name, value, err)
	}
	f.Changed = true
	return nil
}

// others have the prefix and mean something, though no setting of the command
// line: what `make images` prints, and what the packages read.
var others = []string{
	"KILLPOINT_ENGINE_IMAGE", "KILLPOINT_ENGINE_BIN", "KILLPOINT_FIXTURE_IMAGE", "KILLPOINT_RIG_IMAGE",
	"KILLPOINT_WIRETAP_IMAGE", "KILLPOINT_PORTS", "KILLPOINT_DOCKER_SOCKET",
}

// Misspelt are the variables of the environment that look like a setting and
// are none, each as a line that says so. Those of other programs, and those
// that resemble no setting, are left alone.
func Misspelt(environ, names []string) []string {
	var variables, lines []string
	for _, n := range names {
		variables = append(variables, Variable(n))
	}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) || slices.Contains(variables, name) || slices.Contains(others, name) {
			continue
		}
		word := strings.TrimPrefix(name, Prefix)
		if near := suggest.Words(word, trimmed(variables)); len(near) > 0 && !strings.HasPrefix(near[0], word) {
			lines = append(lines, fmt.Sprintf("%s is set and no setting; did you mean %s%s?", name, Prefix, near[0]))
		}
	}
	slices.Sort(lines)
	return lines
}

func trimmed(variables []string) []string {
	words := make([]string, len(variables))
	for i, v := range variables {
		words[i] = strings.TrimPrefix(v, Prefix)
	}
	return words
}
