package main

import (
	"fmt"
	"strings"
)

// runsTable has the folders that the trials are from.
func runsTable(groups []group) *table {
	type of struct {
		began string
		n     int
	}
	runs := map[string]of{}
	for _, g := range groups {
		for _, t := range g.trials {
			r := runs[t.Run()]
			if r.n == 0 || t.Wall < r.began {
				r.began = t.Wall
			}
			r.n++
			runs[t.Run()] = r
		}
	}
	tb := newTable("run", "began", "trials:")
	for _, run := range sortedBy(runs, func(dir string) string { return runs[dir].began + dir }) {
		tb.row("`"+run+"`", minute(runs[run].began), runs[run].n)
	}
	return tb
}

// minute is an instant as a history has it, RFC 3339 in UTC, to the minute.
func minute(wall string) string {
	date, time, ok := strings.Cut(wall, "T")
	if !ok || len(time) < len("00:00") {
		return "-"
	}
	return fmt.Sprintf("%s %s", date, time[:len("00:00")])
}
