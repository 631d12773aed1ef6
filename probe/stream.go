package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/killpoint/killpoint/history"
)

// Stream sends the request and reads its answer while it comes: chunks lines,
// "chunk 1" and so on, as the fixture's /stream gives them. It is one operation,
// recorded as Do's are; its Value is a [Progress]. Its outcome is ok only where
// all of it came. An answer that ends as if it were whole and is not has the
// cause unreadable, and Progress.Clean set. Each is called with the number of
// chunks that came so far; nil is not called.
//
// Like all good answers it has a whole head: who gives it is said there.
func (g *Gateway) Stream(ctx context.Context, r Request, chunks int, each func(n int)) history.Return {
	r.ReadOnly = true
	return g.record(ctx, r, ViaHTTP, func(ctx context.Context, r Request) history.Return {
		return g.stream(ctx, r, chunks, each)
	})
}

func (g *Gateway) stream(outer context.Context, r Request, chunks int, each func(n int)) history.Return {
	ctx := outer
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(outer, r.Timeout)
		defer cancel()
	}
	var begun trace
	got := newProgress(chunks)
	req, err := g.request(httptrace.WithClientTrace(ctx, begun.hooks()), r)
	if err != nil {
		return history.Return{Outcome: history.Fail, Cause: history.CauseRefused, Generation: -1, Detail: err.Error()}
	}
	resp, err := g.Client.Do(req)
	if err != nil {
		return withProgress(begun.failure(outer, err, true), got.value())
	}
	defer resp.Body.Close() //nolint:errcheck // read below as far as it can be
	if resp.StatusCode >= http.StatusBadRequest {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // an error answer that breaks off is one still
		return withProgress(answer(resp, body, r), got.value())
	}
	err = readChunks(resp.Body, got, each)
	return streamed(outer, &begun, resp, got.value(), err)
}

func withProgress(ret history.Return, p Progress) history.Return {
	ret.Value = p
	return ret
}

// wrongChunkError is a chunk that does not follow the one before.
type wrongChunkError struct {
	n    int
	line string
}

func (e *wrongChunkError) Error() string {
	return fmt.Sprintf("in the place of chunk %d came %q", e.n, excerpt([]byte(e.line)))
}

// maxChunk bounds a line, in bytes.
const maxChunk = 1 << 10

// readChunks counts chunks until the answer ends. It returns io.EOF where it
// ended as a whole answer does, also in the middle of a chunk.
func readChunks(body io.Reader, got *progress, each func(n int)) error {
	in := bufio.NewReaderSize(body, maxChunk)
	for {
		b, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(b) == 0 {
			return io.EOF
		}
		line, next := string(b), got.value().Got+1
		switch want := fmt.Sprintf("chunk %d\n", next); {
		case line == want && err == nil:
		case err == nil || errors.Is(err, bufio.ErrBufferFull), !strings.HasPrefix(want, line):
			return &wrongChunkError{next, line}
		default:
			return err // within a chunk
		}
		n := got.add()
		if each != nil {
			each(n)
		}
	}
}

// streamed says how an answer ended that had begun.
func streamed(outer context.Context, begun *trace, resp *http.Response, p Progress, err error) history.Return {
	ret := history.Return{
		Outcome: history.OK, Status: resp.StatusCode,
		AnsweredBy: answeredBy(resp.Header), Generation: generation(resp.Header),
	}
	var wrong *wrongChunkError
	switch {
	case errors.As(err, &wrong):
		ret.Outcome, ret.Cause, ret.Detail = history.Fail, history.CauseUnreadable, err.Error()
	case !errors.Is(err, io.EOF):
		failed := begun.failure(outer, err, true)
		ret.Outcome, ret.Cause, ret.Detail = failed.Outcome, failed.Cause, failed.Detail
	default:
		p.Clean = true
		if p.Got != p.Of {
			ret.Outcome, ret.Cause = history.Fail, history.CauseUnreadable
			ret.Detail = fmt.Sprintf("the answer ended as if it were whole after %d of %d chunks", p.Got, p.Of)
		}
	}
	return withProgress(ret, p)
}
