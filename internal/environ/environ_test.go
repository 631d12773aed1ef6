package environ_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/environ"
)

type config struct {
	listen string
	times  int
}

var table = environ.Table[config]{
	Prefix:  "PROG_",
	Foreign: []string{"IMAGE"},
	Rows: []environ.Row[config]{
		{Name: "LISTEN", Otherwise: ":80", Read: func(c *config, v string) error { c.listen = v; return environ.Address(v) }},
		{Name: "TIMES", Otherwise: "3", Read: func(c *config, v string) error { return environ.Into(&c.times, v, strconv.Atoi) }},
	},
}

func TestRead(t *testing.T) {
	c, err := table.Read([]string{"PATH=/bin", "PROG_IMAGE=x", "PROG_TIMES=", "PROG_LISTEN=127.0.0.1:1=2"})
	require.Error(t, err, "the value goes to the end of the line")
	assert.Equal(t, config{"127.0.0.1:1=2", 3}, c)

	c, err = table.Read([]string{"PROG_TIMES=5"})
	require.NoError(t, err)
	assert.Equal(t, config{":80", 5}, c)
}

func TestAllMistakesComeAtOnce(t *testing.T) {
	_, err := table.Read([]string{"PROG_TIMES=often", "PROG_LISTEN=:99999", "PROG_LISTN=:1", "PROG_X"})
	var all interface{ Unwrap() []error }
	require.True(t, errors.As(err, &all))
	assert.ErrorContains(t, err, `PROG_LISTN: there is no such setting; did you mean PROG_LISTEN?`)
	assert.ErrorContains(t, err, `PROG_X: there is no such setting`)
	assert.ErrorContains(t, err, `PROG_LISTEN: ":99999" is no address: use HOST:PORT or :PORT`)
	assert.ErrorIs(t, err, strconv.ErrSyntax)
}
