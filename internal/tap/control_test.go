package tap

import (
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/killpoint/killpoint/history"
)

func TestTokenIsWanted(t *testing.T) {
	r := newRig(t)
	for _, bad := range []string{"", "Bearer ", "Bearer wrong", token, "Basic " + token} {
		for _, call := range []string{"GET /state", "PUT /targets/engine", "POST /strike", "PUT /rules/x", "GET /nowhere"} {
			method, path, _ := strings.Cut(call, " ")
			req, err := http.NewRequestWithContext(bounded(t), method, "http://"+r.tap.Addresses().Control+path, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", bad)
			resp, err := r.client.http.Do(req)
			require.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
			assert.Equal(t, http.StatusUnauthorized, resp.StatusCode, "%s with %q", call, bad)
		}
	}
	_, err := Start(Config{})
	assert.ErrorContains(t, err, "token")
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	r.tap.cfg.open = openTarget
	ctx := bounded(t)
	hold := Rule{ID: "h", When: Before, Do: DoHold}
	require.NoError(t, r.client.Arm(ctx, hold))
	id := strings.Repeat("0", 64)
	_, unknown := r.client.Release(ctx, "x", Deliver)
	_, early := r.client.Release(ctx, "h", Deliver)
	_, word := r.client.Release(ctx, "h", "keep")
	_, signal := r.client.Strike(ctx, Strike{Target: "engine", Signal: "KILL"})
	_, target := r.client.Strike(ctx, Strike{Target: "tap", Signal: "SIGKILL"})
	for want, err := range map[string]error{
		`rule "h" is armed already`:                r.client.Arm(ctx, hold),
		`when "": want "before" or "after"`:        r.client.Arm(ctx, Rule{ID: "x", Do: DoHold}),
		`there is no rule "x"`:                     unknown,
		`rule "h" holds no frame`:                  early,
		`held "keep": want`:                        word,
		`signal "KILL": want a name as in SIGKILL`: signal,
		`target "tap": want engine or runtime`:     target,
		`target "client": want engine or runtime`:  r.client.Announce(ctx, "client", Target{PID: 1}),
		"process 1 is never a container's":         r.client.Announce(ctx, "engine", Target{PID: 1, ContainerID: id}),
		`"" is no container id`:                    r.client.Announce(ctx, "engine", Target{PID: os.Getppid()}),
		"is not in the container's cgroup":         r.client.Announce(ctx, "engine", Target{PID: spawn(t, "sleeper").cmd.Process.Pid, ContainerID: id}),
		`unknown field "pids"`:                     r.client.call(ctx, "announce", http.MethodPut, "/targets/engine", map[string]int{"pids": 1}, nil),
		`wait="soon": use a duration, as in 5s`:    r.client.call(ctx, "wait", http.MethodGet, "/rules/h?wait=soon", nil, nil),
	} {
		require.Error(t, err, want)
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "\n")
	}
	refused := await(r, "the refusal", func(e *history.TapTarget) bool { return e.What == "refused" })
	assert.NotEmpty(t, refused.Error)
}

func TestWithdrawnTargetIsNone(t *testing.T) {
	r := newRig(t, within(func(x *times) { x.announce = 1 }))
	v := spawn(t, "sleeper")
	r.announce("engine", v)
	s, err := r.client.State(bounded(t))
	require.NoError(t, err)
	assert.Equal(t, map[string]Target{"engine": {PID: v.cmd.Process.Pid, Party: "engine#1"}}, s.Targets)
	require.NoError(t, r.client.Withdraw(bounded(t), "engine"))
	require.NoError(t, r.client.Withdraw(bounded(t), "engine"), "twice is no mistake")
	out, err := r.client.Strike(bounded(t), *kill("engine", ""))
	require.NoError(t, err)
	assert.Equal(t, Failed, out.State)
	assert.Contains(t, out.Error, "no engine was announced")
}

// The client talks to nobody else than this machine.
func TestClientDialsLoopbackOnly(t *testing.T) {
	_, err := NewClient("http://192.0.2.1:80", token).State(bounded(t))
	assert.ErrorContains(t, err, "refuse to dial 192.0.2.1")
}

func TestAPortThatIsTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close() //nolint:errcheck // nothing was written
	_, err = Start(Config{Envoy: "127.0.0.1:0", Serverless: ln.Addr().String(), Control: "127.0.0.1:0", Token: token})
	assert.ErrorContains(t, err, "listen for the serverless wire")
}
