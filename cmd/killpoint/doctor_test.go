package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/internal/doctor"
)

var findings = []doctor.Finding{
	{Check: "go", Level: doctor.OK, Says: "go1.26.1"},
	{Check: "images", Level: doctor.Warn, Says: "killpoint/rig not built yet", Mend: "make images"},
	{Check: "docker", Level: doctor.Fail, Says: "no Docker daemon answers", Mend: "make setup"},
}

func TestDoctorsFindings(t *testing.T) {
	var out bytes.Buffer
	a := newApp(&out, &out)
	err := a.doctor(findings, false)
	assert.Equal(t, exitEnvironment, exitCode(context.Background(), err, true))
	golden(t, "doctor", out.String())

	out.Reset()
	require.NoError(t, a.doctor(findings[:2], true), "a warning is no failure")
	assert.JSONEq(t, `{"level":"warn","findings":[
		{"check":"go","level":"ok","says":"go1.26.1"},
		{"check":"images","level":"warn","says":"killpoint/rig not built yet","mend":"make images"}]}`, out.String())
}

// Engines that are an image or a binary are not to be fetched.
func TestPinned(t *testing.T) {
	assert.Equal(t, []string{"2.3.19"}, pinned([]string{"2.3.19", "rivetdev/engine:latest", "./rivet-engine"}))
}
