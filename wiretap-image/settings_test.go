package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/tap"
)

const secret = "0123456789abcdef"

func TestDefaults(t *testing.T) {
	c, err := table.Read([]string{"PATH=/bin", prefix + "IMAGE=x", prefix + "ENVOY=", prefix + "TOKEN=" + secret})
	require.NoError(t, err)
	assert.Equal(t, tap.Config{
		Envoy: ":6420", Serverless: ":8080", Gateway: ":6430", Control: ":8090",
		Engine: "engine:6420", Runtime: "runtime:8080", Token: secret,
	}, c)
}

func TestSettings(t *testing.T) {
	c, err := table.Read([]string{
		prefix + "ENVOY=127.0.0.1:1", prefix + "SERVERLESS=127.0.0.1:2", prefix + "GATEWAY=none", prefix + "CONTROL=127.0.0.1:3",
		prefix + "ENGINE=10.0.0.1:4", prefix + "RUNTIME=r:5", prefix + "TOKEN=" + secret,
	})
	require.NoError(t, err)
	assert.Equal(t, tap.Config{
		Envoy: "127.0.0.1:1", Serverless: "127.0.0.1:2", Control: "127.0.0.1:3",
		Engine: "10.0.0.1:4", Runtime: "r:5", Token: secret,
	}, c)
}

func TestBadSettings(t *testing.T) {
	for env, want := range map[string]string{
		"ENVOY=here":              `ENVOY: "here" is no address: use HOST:PORT or :PORT`,
		"GATEWAY=:123456":         `":123456" is no address: use HOST:PORT or :PORT`,
		"CONTROL=none":            `"none" is no address: use HOST:PORT or :PORT`,
		"ENGINE=:6420":            `":6420" is no address to connect to: use HOST:PORT`,
		"RUNTIME=runtime:0":       `"runtime:0" is no address to connect to: use HOST:PORT`,
		"TOKEN=short":             `use 16 or more printable characters without spaces`,
		"TOKEN=0123456789 abcdef": `use 16 or more printable characters without spaces`,
		"TOKN=x":                  `there is no such setting`,
	} {
		_, err := table.Read([]string{prefix + env})
		assert.ErrorContains(t, err, want, env)
	}
	_, err := table.Read([]string{prefix + "ENVOY=x", prefix + "ENGINE=x"})
	for _, name := range []string{"ENVOY", "ENGINE", "TOKEN"} {
		assert.ErrorContains(t, err, prefix+name, "all mistakes come at once")
	}
}
