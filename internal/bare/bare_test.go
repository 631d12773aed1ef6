package bare

import (
	"testing"

	"github.com/stretchr/testify/require"
)

type point struct {
	X     int64
	Label *string
	Raw   []byte
	Tags  []string
}

func pointFields(c *Codec, p *point) {
	c.I64("x", &p.X)
	Opt(c, "label", &p.Label, (*Codec).Str)
	c.OptData("raw", &p.Raw)
	List(c, "tags", &p.Tags, 1, func(c *Codec, p *string) { c.Str("", p) })
}

func TestLayout(t *testing.T) {
	label := "é"
	p := point{X: -2, Label: &label, Raw: []byte{}, Tags: []string{"a", ""}}
	w := NewWriter(0)
	pointFields(w, &p)
	b, err := w.Finish()
	require.NoError(t, err)
	require.Equal(t, "\xfe\xff\xff\xff\xff\xff\xff\xff\x01\x02\xc3\xa9\x01\x00\x02\x01a\x00", string(b))

	var got point
	r := NewReader(0, b)
	pointFields(r, &got)
	_, err = r.Finish()
	require.NoError(t, err)
	require.Equal(t, p, got)
}

func TestErrorsStick(t *testing.T) {
	r := NewReader(0, []byte{2, 0})
	var b bool
	r.Bool("first", &b)
	r.Bool("second", &b)
	_, err := r.Finish()
	require.EqualError(t, err, "first at byte 0: bool is neither 0 nor 1: 0x2")
	require.False(t, r.OK())
}

// What was read cannot be appended to over what follows it.
func TestDataIsClipped(t *testing.T) {
	in := []byte{1, 7, 1, 8}
	var first, second []byte
	r := NewReader(0, in)
	r.Data("first", &first)
	r.Data("second", &second)
	_, err := r.Finish()
	require.NoError(t, err)
	_ = append(first, 9)
	require.Equal(t, []byte{8}, second)
	require.Equal(t, []byte{1, 7, 1, 8}, in)
}

// Several goroutines may write one value: the race detector sees a writer that
// stores into it.
func TestWritersShareAValue(t *testing.T) {
	label := "l"
	p := point{X: 1, Label: &label, Raw: []byte{1}, Tags: []string{"t"}}
	done := make(chan error, 2)
	for range 2 {
		go func() {
			w := NewWriter(0)
			pointFields(w, &p)
			_, err := w.Finish()
			done <- err
		}()
	}
	require.NoError(t, <-done)
	require.NoError(t, <-done)
}

type shape interface{ shape() }

type circle struct{ R uint8 }

type square struct{}

type star struct{}

func (circle) shape() {}
func (square) shape() {}
func (star) shape()   {}

var shapes = NewUnion(
	Void[shape, square]("square"),
	Void[shape, star]("star").Since(2),
	Case[shape]("circle", func(c *Codec, p *circle) { c.U8("r", &p.R) }),
)

func TestUnionTagsFollowTheVersion(t *testing.T) {
	for version, want := range map[uint16][]byte{1: {1, 5}, 2: {2, 5}} {
		in := shape(circle{5})
		w := NewWriter(version)
		shapes.Visit(w, "shape", &in)
		b, err := w.Finish()
		require.NoError(t, err)
		require.Equal(t, want, b)

		var out shape
		r := NewReader(version, b)
		shapes.Visit(r, "shape", &out)
		_, err = r.Finish()
		require.NoError(t, err)
		require.Equal(t, in, out)
	}
	require.Equal(t, "star", shapes.Name(star{}))
	require.Empty(t, shapes.Name(nil))
}

func TestUnionRefusesWhatAVersionLacks(t *testing.T) {
	in := shape(star{})
	w := NewWriter(1)
	shapes.Visit(w, "shape", &in)
	_, err := w.Finish()
	require.ErrorIs(t, err, ErrVersion)
	require.EqualError(t, err, "shape at byte 0: not in this version of the protocol: star, from 2 on, in 1")

	r := NewReader(1, []byte{2})
	shapes.Visit(r, "shape", &in)
	_, err = r.Finish()
	require.ErrorIs(t, err, ErrTag)
}
