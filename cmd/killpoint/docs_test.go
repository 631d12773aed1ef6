package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// called finds calls of the program in a text: in a line of code, which is
// indented, perhaps after a prompt and a variable, or after a comment's sign.
var called = regexp.MustCompile(`(?m)^(?: {4,}(?:\$ |- run: )?(?:[A-Z_]+=\S+ )?|# {2,})(?:\./)?killpoint ([a-z].*)$`)

// shellWords are those of a command, as a shell would part them, up to a comment or
// what follows the command.
func shellWords(line string) []string {
	for _, end := range []string{"  #", " ||", " | ", " >", ";"} {
		line, _, _ = strings.Cut(line, end)
	}
	quoted := regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	var list []string
	for _, w := range quoted.FindAllString(line, -1) {
		list = append(list, strings.Trim(w, `'"`))
	}
	return list
}

// Every call that the documents show is one that the program takes: its command
// and its flags exist, and their values can be read.
func TestTheGuidesCommandsExist(t *testing.T) {
	root := filepath.Join("..", "..")
	var paths []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/guide/*.md", "examples/*/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		paths = append(paths, found...)
	}
	n := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range called.FindAllStringSubmatch(string(text), -1) {
			args := shellWords(m[1])
			if args[0] == "help" || args[0] == "completion" {
				continue
			}
			r := call(t, nil, append(args, "--show-settings")...)
			assert.Zero(t, r.code, "%s: killpoint %s\n%s", path, m[1], r.err)
			n++
		}
	}
	assert.Greater(t, n, 20, "calls were found")
}

// The links of the guide lead somewhere.
func TestTheGuidesLinksLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "guide", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1], "://") {
				_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
				assert.NoError(t, err, page)
			}
		}
	}
}

// The examples for CI and Kubernetes can be read, and set what exists.
func TestShardExamples(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "examples", "shards", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, paths, 2)
	variable := regexp.MustCompile(`\bKILLPOINT_([A-Z_]+)\b`)
	known := knownSettings(newApp(nil, nil).rootCommand()).Names()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var doc map[string]any
		require.NoError(t, yaml.Unmarshal(text, &doc), path)
		for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
			assert.Contains(t, known, strings.ToLower(m[1]), path)
		}
	}
}
