#!/bin/sh
# fuzz.sh BUDGET runs every fuzz target of the module for BUDGET, a number of
# inputs (40000x) or a time (10s), one after the other: the go command takes one
# target at a time. CI counts inputs: a target whose time ends while a worker is
# busy is at times reported as failed, with "context deadline exceeded" and no
# input, though nothing is wrong (go.dev/issue/75804).
set -eu

cd "$(dirname "$0")/.."
grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file declaration; do
	target=${declaration#func }
	package=$(dirname "$file")
	echo "$package $target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package" </dev/null
done
