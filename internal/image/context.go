package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
)

// contextPipe is a build context being written. Closing it ends the writing and
// waits for it.
type contextPipe struct {
	*io.PipeReader
	done chan struct{}
	err  error // of the writer; read it after done is closed
}

func (p *contextPipe) Close() error {
	err := p.PipeReader.Close()
	<-p.done
	if errors.Is(p.err, io.ErrClosedPipe) { // our own Close, not a fault of a file
		return err
	}
	return errors.Join(p.err, err)
}

// buildContext streams the Dockerfile and the opened files of s as a tar archive.
func buildContext(s Spec, files []*os.File) *contextPipe {
	r, w := io.Pipe()
	p := &contextPipe{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = writeContext(w, s, files)
		w.CloseWithError(p.err)
	}()
	return p
}

func writeContext(w io.Writer, s Spec, files []*os.File) error {
	tw := tar.NewWriter(w)
	head := tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(s.Dockerfile))}
	if err := tw.WriteHeader(&head); err != nil {
		return err
	}
	if _, err := tw.Write(s.Dockerfile); err != nil {
		return err
	}
	for i, f := range files {
		if err := writeFile(tw, s.Files[i].Name, f); err != nil {
			return fmt.Errorf("add %s to the build context: %w", s.Files[i].Name, err)
		}
	}
	return tw.Close()
}

// writeFile gives every file the same mode, owner and time, so that an image
// depends on nothing but contents.
func writeFile(tw *tar.Writer, name string, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(tw, src)
	return err
}
