package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Merge brings the shards of one run together in the folder out, which must be
// new: their plans as one, and the folders of their trials, histories as links
// where the file system has them. It returns the plan of the whole. Shards of
// different runs, one twice, and one too few are refused; with partial true some
// may be missing.
func Merge(out string, dirs []string, partial bool) (Plan, error) {
	whole, err := wholePlan(dirs, partial)
	if err != nil {
		return whole, err
	}
	if whole.Run, err = filepath.Abs(out); err != nil {
		return whole, fmt.Errorf("find the folder %s: %w", out, err)
	}
	whole.Run = filepath.Base(whole.Run)
	if err := whole.Write(out); err != nil {
		return whole, err
	}
	for _, dir := range dirs {
		if err := mergeOne(out, dir); err != nil {
			return whole, err
		}
	}
	return whole, nil
}

// wholePlan is the plan of the run whose shards are in dirs.
func wholePlan(dirs []string, partial bool) (Plan, error) {
	var whole Plan
	seen := map[string]string{} // the folder of each shard
	for _, dir := range dirs {
		p, err := ReadPlan(dir)
		if err != nil {
			return whole, fmt.Errorf("%s is no folder of a shard: %w", dir, err)
		}
		if p.Shard == "" {
			return whole, fmt.Errorf("%s is a run of its own and no shard of one (killpoint run --shard)", dir)
		}
		if len(seen) == 0 {
			whole = p
		}
		if err := sameRun(dirs[0], whole, dir, p); err != nil {
			return whole, err
		}
		if other, twice := seen[p.Shard]; twice {
			return whole, fmt.Errorf("%s and %s are both shard %s", other, dir, p.Shard)
		}
		seen[p.Shard] = dir
	}
	if gone := absent(whole, seen); len(gone) > 0 && !partial {
		return whole, fmt.Errorf("shards %s are missing (--partial merges the others, and says what was not carried out)", strings.Join(gone, ", "))
	}
	whole.Shard, whole.Trials, whole.All = "", whole.All, nil
	return whole, nil
}

func sameRun(a string, pa Plan, b string, pb Plan) error {
	_, na, _ := strings.Cut(pa.Shard, "/")
	_, nb, _ := strings.Cut(pb.Shard, "/")
	switch {
	case pa.Seed != pb.Seed:
		return fmt.Errorf("%s and %s are shards of different runs: their seeds are %s and %s", a, b, pa.Seed, pb.Seed)
	case na != nb:
		return fmt.Errorf("%s and %s are shards of different runs: one of %s and one of %s", a, b, na, nb)
	case !slices.Equal(pa.All, pb.All):
		return fmt.Errorf("%s and %s are shards of different runs: they were to carry out different trials", a, b)
	}
	return nil
}

// absent are the shards that were not seen.
func absent(whole Plan, seen map[string]string) []string {
	var s Shard
	// The plan is our own: what cannot be read has no shard missing.
	if _, err := fmt.Sscanf(whole.Shard, "%d/%d", &s.Index, &s.Of); err != nil {
		return nil
	}
	var gone []string
	for i := 1; i <= s.Of; i++ {
		name := Shard{i, s.Of}.String()
		if _, ok := seen[name]; !ok {
			gone = append(gone, name)
		}
	}
	return gone
}

// mergeOne brings the trials of one shard into out.
func mergeOne(out, dir string) error {
	found, err := folders(dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		if err := bring(filepath.Join(out, f.name), filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	return nil
}

// bring brings the files of a trial's folder.
func bring(to, from string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return fmt.Errorf("merge %s: %w", from, err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("merge %s: %w", from, err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if err := linkOrCopy(filepath.Join(to, e.Name()), filepath.Join(from, e.Name())); err != nil {
			return fmt.Errorf("merge %s: %w", from, err)
		}
	}
	return nil
}

// linkOrCopy links a history, which nobody writes to again, and copies the rest.
func linkOrCopy(to, from string) (err error) {
	if filepath.Ext(from) == ".jsonl" && os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, in)
	return errors.Join(err, file.Close())
}
