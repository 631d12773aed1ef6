// Command images makes the images of a run available in the Docker daemon and
// prints, on standard output, the shell commands that make a run use them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/filters"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	engineimage "github.com/killpoint/killpoint/engine-image"
	"github.com/killpoint/killpoint/internal/image"
)

func main() {
	engines := flag.String("engines", engineimage.Default, "versions, image references or paths of binaries, separated by commas")
	remove := flag.Bool("remove", false, "make nothing, and remove every image that killpoint made and no container uses")
	binary := flag.Bool("binary", false, "name the first engine's binary too, for tests that run it without Docker")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *engines, *remove, *binary)
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && interrupted {
		fmt.Fprintln(os.Stderr, "images: interrupted")
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, engines string, remove, binary bool) (err error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("make Docker client: %w", err)
	}
	defer func() { err = errors.Join(err, docker.Close()) }()
	if remove {
		return removeImages(ctx, docker)
	}
	return makeImages(ctx, docker, engines, binary, os.Stdout)
}

func makeImages(ctx context.Context, docker client.APIClient, engines string, binary bool, out io.Writer) error {
	// All are read before the first is made: a slip costs nothing.
	sources, err := parseEngines(engines)
	if err != nil {
		return err
	}
	var settings, refs []string
	for _, s := range sources {
		settings = append(settings, s.String())
		err := timed("engine "+s.String(), func() (string, error) {
			img, err := engineimage.Ensure(ctx, docker, s)
			refs = append(refs, img.Ref)
			return img.Ref, err
		})
		if err != nil {
			return err
		}
	}
	if err := export(out, "KILLPOINT_ENGINES", strings.Join(settings, ",")); err != nil {
		return err
	}
	// For compose.yaml, which has one engine.
	if err := export(out, "KILLPOINT_ENGINE_IMAGE", refs[0]); err != nil {
		return err
	}
	if binary {
		if err := printBinary(ctx, sources, out); err != nil {
			return err
		}
	}
	return makeOwn(ctx, docker, out)
}

// parseEngines reads the list of engines. Each is there once, however it is
// written, because a run has one folder for each.
func parseEngines(engines string) ([]engineimage.Source, error) {
	var sources []engineimage.Source
	for setting := range strings.SplitSeq(engines, ",") {
		setting = strings.TrimSpace(setting)
		if setting == "" {
			return nil, fmt.Errorf("the list of engines %q has an empty entry: give versions, image references or paths of binaries, separated by commas", engines)
		}
		s, err := engineimage.ParseSource(setting)
		if err != nil {
			return nil, err
		}
		if s, err = s.Absolute(); err != nil {
			return nil, err
		}
		if !slices.Contains(sources, s) {
			sources = append(sources, s)
		}
	}
	return sources, nil
}

// printBinary names the first engine that is at hand as a file, for the tests
// that run one without Docker.
func printBinary(ctx context.Context, sources []engineimage.Source, out io.Writer) error {
	for _, s := range sources {
		notice := noticeAfter(patience, "binary of engine "+s.String())
		path, err := engineimage.Binary(ctx, s)
		notice.Stop()
		var none *engineimage.NoBinaryError
		if errors.As(err, &none) {
			continue
		}
		if err != nil {
			return err
		}
		return export(out, "KILLPOINT_ENGINE_BIN", path)
	}
	return nil
}

func makeOwn(ctx context.Context, docker client.APIClient, out io.Writer) error {
	for _, own := range []struct {
		what, env string
		ensure    func(context.Context, client.APIClient) (string, error)
	}{{"rig", image.RigEnv, image.Rig}, {"fixture", image.FixtureEnv, image.Fixture}, {"wiretap", image.WiretapEnv, image.Wiretap}} {
		var ref string
		err := timed(own.what, func() (_ string, err error) {
			ref, err = own.ensure(ctx, docker)
			return ref, err
		})
		if err != nil {
			return err
		}
		if err := export(out, own.env, ref); err != nil {
			return err
		}
	}
	return nil
}

// export prints an assignment that a shell can evaluate, whatever is in value.
func export(out io.Writer, name, value string) error {
	_, err := fmt.Fprintf(out, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	return err
}

// patience is how long nothing is said of something in the making.
const patience = 3 * time.Second

func noticeAfter(d time.Duration, what string) *time.Timer {
	return time.AfterFunc(d, func() {
		fmt.Fprintf(os.Stderr, "%s: fetching or building it (for the first time, or after another process)\n", what)
	})
}

// timed shows on standard error what was made and how long it took, and in
// between that it takes long.
func timed(what string, ensure func() (string, error)) error {
	start := time.Now()
	notice := noticeAfter(patience, what)
	ref, err := ensure()
	notice.Stop()
	if err == nil {
		fmt.Fprintf(os.Stderr, "%-44s %6d ms\n", ref, time.Since(start).Milliseconds())
	}
	return err
}

func removeImages(ctx context.Context, docker client.APIClient) error {
	made, err := docker.ImageList(ctx, dockerimage.ListOptions{Filters: filters.NewArgs(filters.Arg("label", image.ContentLabel))})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	var errs []error
	for _, img := range made {
		_, err := docker.ImageRemove(ctx, img.ID, dockerimage.RemoveOptions{PruneChildren: true, Force: true})
		if err != nil {
			errs = append(errs, fmt.Errorf("remove image %s: %w", img.RepoTags, err))
		}
	}
	return errors.Join(errs...)
}
