// Package resulttest compares results of runs for tests.
package resulttest

import (
	"encoding/json"
	"fmt"
)

// result is what of a result.json does not hang on when and where the run was:
// the trials in their order, with their names, seeds and commands, what the
// verdict says of each, what every invariant says, and which actor was asked
// when. Times, folders, actors' ids, and the wording that holds such do not count,
// and neither does how often a trial proved nothing before it proved something.
type result struct {
	State  string `json:"state"`
	Trials []struct {
		Name    string `json:"name"`
		Seed    string `json:"seed"`
		Again   string `json:"again"`
		Verdict struct {
			State    string `json:"state"`
			Findings []struct {
				Invariant string `json:"invariant"`
				State     string `json:"state"`
			} `json:"findings"`
		} `json:"verdict"`
		Outage *struct {
			Sweep []struct {
				DelayMS float64 `json:"delay_ms"`
				Key     string  `json:"key"`
			} `json:"sweep"`
		} `json:"outage"`
	} `json:"trials"`
}

// Same says in what two result.json differ, apart from when and where the runs
// were.
func Same(a, b []byte) error {
	one, err := canonical(a)
	if err != nil {
		return err
	}
	other, err := canonical(b)
	if err != nil {
		return err
	}
	if one != other {
		return fmt.Errorf("the results differ:\n%s\nand\n%s", one, other)
	}
	return nil
}

func canonical(text []byte) (string, error) {
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return "", fmt.Errorf("read a result: %w", err)
	}
	b, err := json.MarshalIndent(r, "", " ")
	return string(b), err
}
