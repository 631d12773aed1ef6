package report

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// The page's own parts. They are written by us, so that they are small and fetch
// nothing.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/page.js
	pageJS string
)

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// policy has the browser hold the page to what it promises: no network, and no
// script but its own, whatever a log line holds.
var policy = func() string {
	sum := sha256.Sum256([]byte(pageJS))
	return "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; script-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// Page writes report.html: one file with everything in it, for people, which
// needs no network. It shows what the trials have; no history is read for it.
func (r Run) Page(w io.Writer) error {
	b := bufio.NewWriterSize(w, 64<<10)
	p := pageWriter{w: b}
	p.write(r)
	return errors.Join(p.err, b.Flush())
}

// pageWriter keeps the first error.
type pageWriter struct {
	w   *bufio.Writer
	err error
}

func (p *pageWriter) raw(parts ...string) {
	for _, s := range parts {
		if p.err == nil {
			_, p.err = p.w.WriteString(s)
		}
	}
}

func (p *pageWriter) template(name string, data any) {
	if p.err == nil {
		p.err = pageTemplate.ExecuteTemplate(p.w, name, data)
	}
}

func (p *pageWriter) write(r Run) {
	trials := r.flat()
	index, err := r.index(trials)
	if err != nil {
		p.err = err
		return
	}
	title := template.HTMLEscapeString("killpoint " + index.Title)
	p.raw(`<!doctype html>`, "\n", `<html lang="en" data-title="`, title, `"><head><meta charset="utf-8">`, "\n",
		`<meta http-equiv="Content-Security-Policy" content="`, policy, `">`, "\n",
		`<meta name="viewport" content="width=device-width, initial-scale=1">`, "\n",
		`<link rel="icon" href="data:,"><title>`, title, "</title>\n<style>\n", pageCSS, "</style>\n<noscript><style>main[hidden] { display: block; }</style></noscript></head>\n<body>\n")
	p.template("head", index)
	for i := range trials {
		p.template("trial", trials[i].view(r, neighbours(trials, i)))
	}
	// Letters of base64 only: nothing in them ends the element.
	for i, t := range trials {
		if t.story != nil && len(t.story.block) > 0 {
			p.raw(fmt.Sprintf(`<script type="text/plain" id="b%d">`, i), string(t.story.block), "</script>\n")
		}
	}
	p.raw("<script>", pageJS, "</script>\n</body></html>\n")
}

// paged is a trial on the page: one of the run's, or an earlier carrying-out of
// one, which the index does not have.
type paged struct {
	Trial
	n       int
	again   bool  // it is an earlier carrying-out
	repeats []int // the numbers of its own
}

func (p paged) id() string { return fmt.Sprintf("t%d", p.n) }

// flat are the trials, those first that somebody has to look after, then the
// earlier carryings-out.
func (r Run) flat() []paged {
	trials := slices.Clone(r.Trials)
	fine := func(t Trial) int { return cond(t.failed() == nil, 1, 0) }
	slices.SortStableFunc(trials, func(a, b Trial) int { return cmp.Compare(fine(a), fine(b)) })
	all := make([]paged, 0, len(trials))
	for i, t := range trials {
		all = append(all, paged{Trial: t, n: i})
	}
	for i, t := range trials {
		for n, a := range t.Repeats {
			all[i].repeats = append(all[i].repeats, len(all))
			one := a.trial()
			one.Name = fmt.Sprintf("%s, carrying-out %d", t.Name, n+1)
			all = append(all, paged{Trial: one, n: len(all), again: true})
		}
	}
	return all
}

// neighbours are the ids of the trials before and after it in the index.
func neighbours(trials []paged, i int) (ids [2]string) {
	if trials[i].again {
		return ids
	}
	if i > 0 {
		ids[0] = trials[i-1].id()
	}
	if i+1 < len(trials) && !trials[i+1].again {
		ids[1] = trials[i+1].id()
	}
	return ids
}

// markdown makes HTML of the tables that the summary has, too. HTML in it is left
// out, as are links that are none.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table))

func toHTML(text string) (template.HTML, error) {
	var b bytes.Buffer
	if err := markdown.Convert([]byte(text), &b); err != nil {
		return "", fmt.Errorf("make HTML of a section of the summary: %w", err)
	}
	return template.HTML(b.String()), nil //nolint:gosec // goldmark escapes all of it
}
