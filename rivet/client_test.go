package rivet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is what the engine was asked.
type request struct {
	method, uri, token string
	body               map[string]any
}

// serve answers every request with status and body, and keeps what was asked.
func serve(t *testing.T, status int, body string) (*Client, *[]request) {
	t.Helper()
	var asked []request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := request{method: r.Method, uri: r.URL.RequestURI(), token: r.Header.Get("Authorization")}
		if b, err := io.ReadAll(r.Body); err == nil && len(b) > 0 {
			assert.NoError(t, json.Unmarshal(b, &q.body))
		}
		asked = append(asked, q)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	c, err := New(srv.URL, "tok")
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		srv.Close()
	})
	return c, &asked
}

// The bodies are cut from answers of engine 2.3.19.

func TestHealth(t *testing.T) {
	c, asked := serve(t, 200, `{"runtime":"engine","status":"ok","version":"2.3.19"}`)
	h, err := c.Health(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Health{"engine", "ok", "2.3.19"}, h)
	assert.Equal(t, []request{{method: "GET", uri: "/health", token: "Bearer tok"}}, *asked)
}

func TestCreateNamespace(t *testing.T) {
	c, asked := serve(t, 200, `{"namespace":{"namespace_id":"h8px","name":"kp","display_name":"kp","create_ts":1}}`)
	ns, err := c.CreateNamespace(t.Context(), "kp")
	require.NoError(t, err)
	assert.Equal(t, Namespace{"h8px", "kp", "kp"}, ns)
	assert.Equal(t, map[string]any{"name": "kp", "display_name": "kp"}, (*asked)[0].body)
}

func TestPutRunnerConfig(t *testing.T) {
	c, asked := serve(t, 200, `{"endpoint_config_changed":true}`)
	err := c.PutRunnerConfig(t.Context(), "n s", "p/1", "dc", RunnerConfig{
		URL: "http://runtime:8080", RequestLifespan: time.Hour, DrainGrace: 5 * time.Second,
		MetadataPoll: 1500 * time.Millisecond, MaxRunners: 7, SlotsPerRunner: 1, DrainOnVersionUpgrade: true,
	})
	require.NoError(t, err)
	assert.Equal(t, "/runner-configs/p%2F1?namespace=n+s", (*asked)[0].uri)
	dc := (*asked)[0].body["datacenters"].(map[string]any)["dc"].(map[string]any)
	assert.Equal(t, true, dc["drain_on_version_upgrade"])
	assert.Equal(t, map[string]any{
		"url": "http://runtime:8080", "headers": map[string]any{}, "request_lifespan": 3600., "drain_grace_period": 5.,
		"metadata_poll_interval": 1500., "max_runners": 7., "min_runners": 0., "runners_margin": 0., "slots_per_runner": 1.,
	}, dc["serverless"])
}

func TestPutRunnerConfigRefusesWhatTheEngineWouldRound(t *testing.T) {
	c, asked := serve(t, 200, `{}`)
	for want, cfg := range map[string]RunnerConfig{
		"drain grace":            {DrainGrace: 500 * time.Millisecond},
		"request lifespan":       {RequestLifespan: -time.Second},
		"metadata poll interval": {MetadataPoll: time.Microsecond},
	} {
		assert.ErrorContains(t, c.PutRunnerConfig(t.Context(), "n", "p", "dc", cfg), want)
	}
	assert.Empty(t, *asked)
}

func TestWaitRunnerConfig(t *testing.T) {
	const known = `{"runner_configs":{"default":{"datacenters":{"default":{"protocol_version":6}}}}}`
	c, _ := serve(t, 200, known)
	protocol, err := c.WaitRunnerConfig(t.Context(), "n", "default", time.Millisecond)
	require.NoError(t, err)
	assert.Equal(t, 6, protocol)

	unknown := strings.ReplaceAll(known, "6", "null")
	for seen, body := range map[string]string{"protocol_version null": unknown, "no runner configuration": `{}`} {
		c, asked := serve(t, 200, body)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = c.WaitRunnerConfig(ctx, "n", "default", 5*time.Millisecond)
		cancel()
		var wait *WaitError
		require.ErrorAs(t, err, &wait)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, wait.Seen, seen)
		assert.Greater(t, len(*asked), 1, "it asks more than once")
	}
}

func TestActors(t *testing.T) {
	const actor = `{"actor_id":"a1","name":"counter","key":"k","create_ts":5,"connectable_ts":7,"sleep_ts":null}`
	c, asked := serve(t, 200, `{"actor":`+actor+`,"created":true,"actors":[`+actor+`]}`)
	a, created, err := c.GetOrCreateActor(t.Context(), "n", ActorRequest{Name: "counter", Key: "k", Pool: "default"})
	require.NoError(t, err)
	assert.True(t, created)
	assert.Equal(t, "a1", a.ID)
	assert.Equal(t, int64(7), *a.ConnectableTS)
	assert.Nil(t, a.SleepTS)
	assert.Equal(t, map[string]any{
		"name": "counter", "key": "k", "runner_name_selector": "default", "crash_policy": "sleep",
	}, (*asked)[0].body)
	got, err := c.GetActor(t.Context(), "n", "a1")
	require.NoError(t, err)
	assert.Equal(t, a, got)
	require.NoError(t, c.DeleteActor(t.Context(), "n", "a1"))
	require.NoError(t, c.SleepActor(t.Context(), "n", "a1"))
	require.NoError(t, c.RescheduleActor(t.Context(), "n", "a1"))
	var lines []string
	for _, q := range *asked {
		lines = append(lines, q.method+" "+q.uri)
	}
	assert.Equal(t, []string{
		"PUT /actors?namespace=n",
		"GET /actors?actor_ids=a1&namespace=n",
		"DELETE /actors/a1?namespace=n",
		"POST /actors/a1/sleep?namespace=n",
		"POST /actors/a1/reschedule?namespace=n",
	}, lines)
}

func TestGetActorThatIsNotListed(t *testing.T) {
	c, _ := serve(t, 200, `{"actors":[]}`)
	_, err := c.GetActor(t.Context(), "n", "a1")
	require.ErrorIs(t, err, ErrNoActor)
}

func TestErrorsAreReturnedAndNotRetried(t *testing.T) {
	c, asked := serve(t, 503, `{"group":"guard","code":"actor_ready_timeout","message":"late","metadata":null}`)
	_, err := c.Health(t.Context())
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, Error{"GET", "/health", 503, "guard", "actor_ready_timeout", "late"}, *e)
	assert.True(t, IsCode(err, "guard.actor_ready_timeout"))
	assert.False(t, IsCode(errors.New("x"), "guard.actor_ready_timeout"))
	assert.EqualError(t, err, "GET /health: status 503 guard.actor_ready_timeout: late")
	assert.Len(t, *asked, 1)
}

func TestErrorWithoutTheEnginesForm(t *testing.T) {
	e := ParseError("GET", "/x", 502, []byte(strings.Repeat("bad gateway ", 100)))
	assert.Empty(t, e.FullCode())
	assert.Less(t, len(e.Message), 250)
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	for want, body := range map[string]string{"decode": "not json", "longer than": strings.Repeat(" ", maxBody+1)} {
		c, _ := serve(t, 200, body)
		_, err := c.Health(t.Context())
		assert.ErrorContains(t, err, want)
	}
}

func TestNewRefusesOtherAddresses(t *testing.T) {
	for _, u := range []string{"", "127.0.0.1:6420", "https://127.0.0.1:1", "http://", "http://[::1"} {
		_, err := New(u, "")
		assert.Error(t, err, u)
	}
}

// No request can leave the machine: the dialer refuses before it sends a
// packet, and no proxy of the environment is used.
func TestGuardRefusesAllButLoopback(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.9:3128")
	for _, host := range []string{"192.0.2.1:80", "10.0.0.1:80", "engine.example:80", "[2001:db8::1]:80", "0.0.0.0:80"} {
		c, err := New("http://"+host, "")
		require.NoError(t, err)
		_, err = c.Health(t.Context())
		var refused *HostError
		require.ErrorAs(t, err, &refused, host)
		assert.Contains(t, host, refused.Host)
	}
}

func TestGuardAllowsTheDockerHost(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it must get as far as dialling, and no further
	_, err := GuardedDial("192.0.2.1")(ctx, "tcp", "192.0.2.1:80")
	var refused *HostError
	require.Error(t, err)
	assert.False(t, errors.As(err, &refused))
}
