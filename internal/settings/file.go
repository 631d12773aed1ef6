package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/killpoint/killpoint/internal/suggest"
)

// DefaultFile is read from the working directory where no other is named.
const DefaultFile = "killpoint.yaml"

// File is a file of settings. A nil File has none.
//
// It is a mapping of names to values, a list where a setting has several. A
// value under the name of a command is a mapping for that command alone, and
// goes before the others.
type File struct {
	Path     string
	general  map[string]entry
	commands map[string]map[string]entry
}

type entry struct {
	value, where string
}

// value is the setting of the command.
func (f *File) value(command, name string) (entry, bool) {
	if f == nil {
		return entry{}, false
	}
	if e, ok := f.commands[command][name]; ok {
		return e, true
	}
	e, ok := f.general[name]
	return e, ok
}

// Known is what a file may hold: the settings of each command.
type Known map[string][]string

// Names are all settings of all commands.
func (k Known) Names() []string {
	var all []string
	for _, names := range k {
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (k Known) commands() []string {
	var all []string
	for c := range k {
		all = append(all, c)
	}
	slices.Sort(all)
	return all
}

// Read reads the file. Where path is "" it reads the [DefaultFile], if there is
// one. What it does not know it refuses, with its line.
func Read(path string, known Known) (*File, error) {
	named := path != ""
	if !named {
		path = DefaultFile
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && !named:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return parse(path, text, known)
}

func parse(path string, text []byte, known Known) (*File, error) {
	f := &File{Path: path, general: map[string]entry{}, commands: map[string]map[string]entry{}}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read the settings in %s: %w", path, err)
	}
	if len(doc.Content) == 0 { // empty, or comments only
		return f, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want settings, one a line, as in `cells: 3`", f.at(root))
	}
	names, commands := known.Names(), known.commands()
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		var err error
		switch {
		case value.Kind == yaml.MappingNode && slices.Contains(commands, key.Value):
			err = f.section(key, value, known[key.Value])
		case slices.Contains(names, key.Value):
			err = f.add(f.general, key, value)
		default:
			err = fmt.Errorf("%s: %q is no setting and no command%s", f.at(key), key.Value, suggest.Hint(key.Value, slices.Concat(names, commands)))
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *File) section(command, settings *yaml.Node, names []string) error {
	if f.commands[command.Value] != nil {
		return fmt.Errorf("%s: %q is there twice", f.at(command), command.Value)
	}
	f.commands[command.Value] = map[string]entry{}
	for i := 0; i < len(settings.Content); i += 2 {
		key, value := settings.Content[i], settings.Content[i+1]
		if !slices.Contains(names, key.Value) {
			return fmt.Errorf("%s: %q is no setting of %s%s", f.at(key), key.Value, command.Value, suggest.Hint(key.Value, names))
		}
		if err := f.add(f.commands[command.Value], key, value); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) add(to map[string]entry, key, value *yaml.Node) error {
	if _, twice := to[key.Value]; twice {
		return fmt.Errorf("%s: %q is there twice", f.at(key), key.Value)
	}
	text, ok := scalar(value)
	if !ok {
		return fmt.Errorf("%s: %q wants a value or a list of values", f.at(value), key.Value)
	}
	to[key.Value] = entry{text, f.at(key)}
	return nil
}

// scalar is a value as a flag takes it: a list's entries with commas between.
func scalar(n *yaml.Node) (string, bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, true
	case yaml.SequenceNode:
		var parts []string
		for _, one := range n.Content {
			if one.Kind != yaml.ScalarNode {
				return "", false
			}
			parts = append(parts, one.Value)
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

func (f *File) at(n *yaml.Node) string {
	return fmt.Sprintf("%s:%d", filepath.ToSlash(f.Path), n.Line)
}
