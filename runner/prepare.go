package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	engineimage "github.com/killpoint/killpoint/engine-image"
	"github.com/killpoint/killpoint/internal/image"
)

// ParseEngines reads engines under test, separated by commas: pinned releases,
// image references, paths of binaries. Each is there once, however it is
// written, because a run has one folder for each.
func ParseEngines(text string) ([]string, error) {
	var engines []string
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		if one == "" {
			return nil, fmt.Errorf("the list of engines %q has an empty entry: give versions, image references or paths of binaries, separated by commas", text)
		}
		s, err := engineimage.ParseSource(one)
		if err != nil {
			return nil, err
		}
		if s, err = s.Absolute(); err != nil {
			return nil, err
		}
		if name := s.String(); !slices.Contains(engines, name) {
			engines = append(engines, name)
		}
	}
	return engines, nil
}

// Prepare opens the session and makes the images available that trials on these
// engines need, so that no trial waits for a download or a compiler. With
// fixture false the fixture's is left out.
func (r *Runner) Prepare(ctx context.Context, fixture bool, engines ...string) error {
	session, err := r.Session(ctx)
	if err != nil {
		return err
	}
	if fixture {
		if _, err := image.Fixture(ctx, session.Docker()); err != nil {
			return err
		}
	}
	for _, e := range engines {
		source, err := engineimage.ParseSource(e)
		if err != nil {
			return err
		}
		if _, err := engineimage.Ensure(ctx, session.Docker(), source); err != nil {
			return fmt.Errorf("make engine %s available: %w", e, err)
		}
	}
	return nil
}

// PrepareTap makes the image of the tap available, for trials that need one.
func (r *Runner) PrepareTap(ctx context.Context) error {
	session, err := r.Session(ctx)
	if err != nil {
		return err
	}
	_, err = image.Wiretap(ctx, session.Docker())
	return err
}
