package rivet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Health is the answer of GET /health. The 2.3.18 package's binary calls
// itself 2.3.17: identify an engine by its checksum, not by Version.
type Health struct {
	Runtime string `json:"runtime"`
	Status  string `json:"status"`
	Version string `json:"version"`
}

// Health asks whether the engine serves.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	err := c.call(ctx, http.MethodGet, "/health", nil, nil, &h)
	return h, err
}

// Namespace is a tenant of the engine.
type Namespace struct {
	ID          string `json:"namespace_id"`
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
}

// CreateNamespace makes a namespace. A name that is taken is an error of the
// engine.
func (c *Client) CreateNamespace(ctx context.Context, name string) (Namespace, error) {
	in := map[string]string{"name": name, "display_name": name}
	var out struct {
		Namespace Namespace `json:"namespace"`
	}
	err := c.call(ctx, http.MethodPost, "/namespaces", nil, in, &out)
	return out.Namespace, err
}

// RunnerConfig says where the engine finds a pool's runtime and how much it
// may place there. The engine counts the durations in whole seconds, and
// MetadataPoll in milliseconds; anything finer is refused, not rounded.
type RunnerConfig struct {
	// URL is the base of the runtime's serverless endpoint, as the engine
	// reaches it.
	URL     string
	Headers map[string]string
	// RequestLifespan is how long the engine keeps a runtime's request open
	// before it drains and replaces it.
	RequestLifespan time.Duration
	// DrainGrace is how long a draining actor may take, and with it how long
	// the engine takes to exit after SIGTERM.
	DrainGrace time.Duration
	// MetadataPoll is the interval at which the engine reads the runtime's
	// metadata. It polls at most every 5 s whatever this says.
	MetadataPoll time.Duration
	// MaxRunners times SlotsPerRunner caps the live actors: a request to one
	// more just hangs.
	MaxRunners            int
	MinRunners            int
	RunnersMargin         int
	SlotsPerRunner        int
	DrainOnVersionUpgrade bool
	Metadata              map[string]any
}

// PutRunnerConfig creates or replaces the configuration of a pool in one
// datacenter.
func (c *Client) PutRunnerConfig(ctx context.Context, namespace, pool, datacenter string, cfg RunnerConfig) error {
	body, err := cfg.body()
	if err != nil {
		return fmt.Errorf("runner configuration of pool %q: %w", pool, err)
	}
	in := map[string]any{"datacenters": map[string]any{datacenter: body}}
	return c.call(ctx, http.MethodPut, "/runner-configs/"+url.PathEscape(pool), inNamespace(namespace), in, nil)
}

func (cfg RunnerConfig) body() (map[string]any, error) {
	lifespan, err := whole("request lifespan", cfg.RequestLifespan, time.Second)
	grace, err2 := whole("drain grace", cfg.DrainGrace, time.Second)
	poll, err3 := whole("metadata poll interval", cfg.MetadataPoll, time.Millisecond)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	headers := cfg.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	metadata := cfg.Metadata
	if metadata == nil {
		metadata = map[string]any{}
	}
	return map[string]any{
		"serverless": map[string]any{
			"url":                    cfg.URL,
			"headers":                headers,
			"request_lifespan":       lifespan,
			"drain_grace_period":     grace,
			"metadata_poll_interval": poll,
			"max_runners":            cfg.MaxRunners,
			"min_runners":            cfg.MinRunners,
			"runners_margin":         cfg.RunnersMargin,
			"slots_per_runner":       cfg.SlotsPerRunner,
		},
		"metadata":                 metadata,
		"drain_on_version_upgrade": cfg.DrainOnVersionUpgrade,
	}, nil
}

func whole(what string, d, unit time.Duration) (int64, error) {
	if d < 0 || d%unit != 0 {
		return 0, fmt.Errorf("%s of %v: the engine takes whole multiples of %v, from 0", what, d, unit)
	}
	return int64(d / unit), nil
}

// RunnerConfigState is what the engine knows of a configured pool.
type RunnerConfigState struct {
	// ProtocolVersion is the envoy protocol that the engine read off the
	// runtime's metadata, nil as long as it has not: the pool is then not
	// ready.
	ProtocolVersion *int `json:"protocol_version"`
	// PoolError is the engine's last error with the pool's runtime.
	PoolError any `json:"runner_pool_error"`
}

// RunnerConfig reads what the engine knows of a pool; found is false where it
// has none of that name. The map is by datacenter.
func (c *Client) RunnerConfig(ctx context.Context, namespace, pool string) (map[string]RunnerConfigState, bool, error) {
	q := inNamespace(namespace)
	q.Set("runner_name", pool)
	var out struct {
		RunnerConfigs map[string]struct {
			Datacenters map[string]RunnerConfigState `json:"datacenters"`
		} `json:"runner_configs"`
	}
	err := c.call(ctx, http.MethodGet, "/runner-configs", q, nil, &out)
	found, ok := out.RunnerConfigs[pool]
	return found.Datacenters, ok, err
}

// WaitError says that a wait ended before its condition held, and what was
// seen last instead.
type WaitError struct {
	For  string // what was waited for
	Seen string // what was seen last
	Err  error  // why the wait ended
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("wait for %s: %v; last seen: %s", e.For, e.Err, e.Seen)
}

func (e *WaitError) Unwrap() error { return e.Err }

// WaitRunnerConfig waits until the engine has read the metadata of the pool's
// runtime and knows its protocol, and returns that. It asks every interval,
// because the engine announces this nowhere; ctx bounds the wait.
func (c *Client) WaitRunnerConfig(ctx context.Context, namespace, pool string, interval time.Duration) (protocol int, err error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	seen := "no answer yet"
	for {
		states, found, err := c.RunnerConfig(ctx, namespace, pool)
		switch {
		case err != nil && ctx.Err() != nil: // the wait's end, which tells nothing of the engine
		case err != nil:
			seen = err.Error()
		case !found:
			seen = "no runner configuration of that name"
		default:
			for _, s := range states {
				if s.ProtocolVersion != nil {
					return *s.ProtocolVersion, nil
				}
				seen = fmt.Sprintf("protocol_version null, pool error %v", s.PoolError)
			}
		}
		select {
		case <-ctx.Done():
			return 0, &WaitError{For: fmt.Sprintf("the engine to know the runtime of pool %q", pool), Seen: seen, Err: context.Cause(ctx)}
		case <-tick.C:
		}
	}
}

// CrashPolicy says what the engine does with an actor that crashed.
type CrashPolicy string

// The policies.
const (
	CrashRestart CrashPolicy = "restart"
	CrashSleep   CrashPolicy = "sleep"
	CrashDestroy CrashPolicy = "destroy"
)

// ActorRequest names an actor to get or to create.
type ActorRequest struct {
	Name string
	// Key addresses the actor within its name.
	Key string
	// Pool is the runner configuration that hosts it.
	Pool string
	// CrashPolicy is [CrashSleep] where it is left empty, as RivetKit does.
	CrashPolicy CrashPolicy
	// Input is passed to the actor's first start, encoded in base64.
	Input string
}

// Actor is the engine's view of an actor. Timestamps are in milliseconds of
// the engine's wall clock, nil where the thing is not so.
type Actor struct {
	ID            string `json:"actor_id"`
	Name          string `json:"name"`
	Key           string `json:"key"`
	CreateTS      int64  `json:"create_ts"`
	StartTS       *int64 `json:"start_ts"`
	PendingTS     *int64 `json:"pending_allocation_ts"`
	ConnectableTS *int64 `json:"connectable_ts"`
	SleepTS       *int64 `json:"sleep_ts"`
	RescheduleTS  *int64 `json:"reschedule_ts"`
	DestroyTS     *int64 `json:"destroy_ts"`
	Error         any    `json:"error"`
}

// GetOrCreateActor finds the actor by name and key, or makes it. It does not
// wait for the actor to run.
func (c *Client) GetOrCreateActor(ctx context.Context, namespace string, r ActorRequest) (a Actor, created bool, err error) {
	if r.CrashPolicy == "" {
		r.CrashPolicy = CrashSleep
	}
	in := map[string]any{
		"name": r.Name, "key": r.Key,
		"runner_name_selector": r.Pool,
		"crash_policy":         r.CrashPolicy,
	}
	if r.Input != "" {
		in["input"] = r.Input
	}
	var out struct {
		Actor   Actor `json:"actor"`
		Created bool  `json:"created"`
	}
	err = c.call(ctx, http.MethodPut, "/actors", inNamespace(namespace), in, &out)
	return out.Actor, out.Created, err
}

// ErrNoActor says that the engine lists no actor of that id.
var ErrNoActor = errors.New("the engine lists no such actor")

// GetActor reads the engine's view of an actor, or [ErrNoActor].
func (c *Client) GetActor(ctx context.Context, namespace, id string) (Actor, error) {
	actors, err := c.ListActors(ctx, namespace, id)
	if err != nil {
		return Actor{}, err
	}
	if len(actors) == 0 {
		return Actor{}, fmt.Errorf("actor %s: %w", id, ErrNoActor)
	}
	return actors[0], nil
}

// ListActors reads the engine's view of up to 32 actors, its limit. Those
// that it does not know or has destroyed are missing from the answer.
func (c *Client) ListActors(ctx context.Context, namespace string, ids ...string) ([]Actor, error) {
	q := inNamespace(namespace)
	q.Set("actor_ids", strings.Join(ids, ","))
	var out struct {
		Actors []Actor `json:"actors"`
	}
	err := c.call(ctx, http.MethodGet, "/actors", q, nil, &out)
	return out.Actors, err
}

// DeleteActor destroys an actor.
func (c *Client) DeleteActor(ctx context.Context, namespace, id string) error {
	return c.call(ctx, http.MethodDelete, "/actors/"+url.PathEscape(id), inNamespace(namespace), nil, nil)
}

// SleepActor asks the engine to put an actor to sleep.
func (c *Client) SleepActor(ctx context.Context, namespace, id string) error {
	return c.call(ctx, http.MethodPost, "/actors/"+url.PathEscape(id)+"/sleep", inNamespace(namespace), struct{}{}, nil)
}

// RescheduleActor asks the engine to place an actor anew.
func (c *Client) RescheduleActor(ctx context.Context, namespace, id string) error {
	return c.call(ctx, http.MethodPost, "/actors/"+url.PathEscape(id)+"/reschedule", inNamespace(namespace), struct{}{}, nil)
}

// Envoys reads the runtimes connected to the engine for a namespace, as the
// engine lists them.
func (c *Client) Envoys(ctx context.Context, namespace string) ([]map[string]any, error) {
	var out struct {
		Envoys []map[string]any `json:"envoys"`
	}
	err := c.call(ctx, http.MethodGet, "/envoys", inNamespace(namespace), nil, &out)
	return out.Envoys, err
}

func inNamespace(name string) url.Values { return url.Values{"namespace": {name}} }
