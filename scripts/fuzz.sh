#!/bin/sh
# fuzz.sh TIME runs every fuzz target of the module for TIME (as in 10s), one
# after the other: the go command takes one target at a time.
set -eu

cd "$(dirname "$0")/.."
grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file declaration; do
	target=${declaration#func }
	package=$(dirname "$file")
	echo "$package $target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package" </dev/null
done
