package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	engineimage "github.com/killpoint/killpoint/engine-image"
	"github.com/killpoint/killpoint/history"
)

// CellConfig describes a cell. The zero value of each field but the runtime's
// image and the recorder has a meaning that is good for a first trial.
type CellConfig struct {
	// Name is part of the names of the cell's containers, "cell" by default.
	Name string
	// Engine is a pinned release ("2.3.19", the default), an image reference, or
	// the path of a binary.
	Engine       string
	EngineConfig EngineConfig
	Runtime      RuntimeConfig
	// Front stands between the engine's calls and the runtimes, for cells in which
	// one runtime takes over from another: [FrontNone] by default.
	Front Front
	Pool  PoolConfig
	// Tap puts a tap between engine and runtime; nil: none.
	Tap *TapConfig
	// Recorder gets everything that happens to the cell. Required.
	Recorder history.Recorder
}

// LoadShedding chooses how the engine behaves on a busy machine.
type LoadShedding string

const (
	// LoadSheddingOff has the engine do its work however busy the machine is.
	LoadSheddingOff LoadShedding = "off"
	// LoadSheddingEngine leaves the engine its own curve: from about 70 % CPU on
	// it skips work, which is easily mistaken for a race.
	LoadSheddingEngine LoadShedding = "engine"
)

// EngineConfig is what the rig writes into the engine's configuration.
type EngineConfig struct {
	// LoadShedding is [LoadSheddingOff] by default.
	LoadShedding LoadShedding
	// GatewayV3 switches features.guard_gateway_v3 on, which streamed responses
	// need. Engines before 2.3.17 do not know it and exit at once.
	GatewayV3 bool
	// Log is the engine's RUST_LOG, "info" by default.
	Log string
	// Guarded says whether the engine guards its outgoing calls against private
	// addresses, and must be told that it may call the runtime: engines from
	// 2.3.17 on do, and older ones exit at once when told. nil: by the version on
	// the engine's image, or as the newest where that has none.
	Guarded *bool
	// Extra is merged into the configuration last, section by section. It cannot
	// switch telemetry on.
	Extra map[string]any
}

// RuntimeConfig describes the runtime's container.
type RuntimeConfig struct {
	// Image speaks the serverless protocol. It must be in the daemon already.
	Image string
	Cmd   []string // instead of the image's
	Env   map[string]string
	// Port is where it serves that protocol, 8080 by default.
	Port int
	// ControlPort is published on the host as well, see [Cell.Control]. 0: none.
	ControlPort int
	// StopSignal is what Stop sends, as in "SIGINT". By default that of the
	// image, or SIGTERM.
	StopSignal string
	// Init puts Docker's init in front, so that the runtime is not PID 1.
	Init bool
	// Memory limits the container, in bytes. 0: no limit.
	Memory int64
	// Restart has the daemon start it again by itself. It heeds signals by
	// [WayPidfd] only: who stops or kills by the daemon's API wants it gone.
	Restart RestartPolicy
}

// None stands for a duration of zero where zero means the default.
const None = time.Duration(-1)

// PoolConfig is the runner configuration that the cell makes.
type PoolConfig struct {
	Name string // "default"
	// MaxActors caps the live actors, 64 by default: a request to one more hangs.
	MaxActors int
	// DrainGrace is how long an actor may take to drain, and with it how long
	// the engine takes to exit after SIGTERM: 5 s by default, whole seconds,
	// [None] for 0.
	DrainGrace time.Duration
	// RequestLifespan is 1 h by default, MetadataPoll 1 s.
	RequestLifespan time.Duration
	MetadataPoll    time.Duration
	// KeepOnVersionUpgrade leaves the actors of an older runtime version where
	// they are when a newer one appears, instead of draining them.
	KeepOnVersionUpgrade bool
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func (c CellConfig) withDefaults() (CellConfig, error) {
	set(&c.Name, "cell")
	set(&c.Engine, engineimage.Default)
	set(&c.EngineConfig.LoadShedding, LoadSheddingOff)
	set(&c.EngineConfig.Log, "info")
	set(&c.Runtime.Port, 8080)
	set(&c.Pool.Name, "default")
	set(&c.Pool.MaxActors, 64)
	set(&c.Pool.DrainGrace, 5*time.Second)
	set(&c.Pool.RequestLifespan, time.Hour)
	set(&c.Pool.MetadataPoll, time.Second)
	c.Pool.DrainGrace = max(c.Pool.DrainGrace, 0)
	return c, c.validate()
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c CellConfig) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(!nameForm.MatchString(c.Name), "cell name %q: want letters, digits, '.', '_' and '-'", c.Name)
	bad(c.Recorder == nil, "cell %s has no Recorder", c.Name)
	bad(c.Runtime.Image == "", "cell %s has no Runtime.Image", c.Name)
	bad(c.Pool.MaxActors < 0, "cell %s: Pool.MaxActors %d is negative", c.Name, c.Pool.MaxActors)
	bad(c.Front != FrontNone && c.Front != FrontHTTP && c.Front != FrontTCP, "Front %q: want %q, %q or none", c.Front, FrontHTTP, FrontTCP)
	shedding := c.EngineConfig.LoadShedding
	bad(shedding != LoadSheddingOff && shedding != LoadSheddingEngine,
		"EngineConfig.LoadShedding %q: want %q or %q", shedding, LoadSheddingOff, LoadSheddingEngine)
	for _, p := range []int{c.Runtime.Port, c.Runtime.ControlPort} {
		bad(p < 0 || p > 65535, "runtime port %d: want 1 to 65535", p)
	}
	if _, err := c.Runtime.Restart.docker(); err != nil {
		errs = append(errs, fmt.Errorf("Runtime.Restart: %w", err))
	}
	if c.Runtime.StopSignal != "" {
		_, err := signalNumber(c.Runtime.StopSignal)
		bad(err != nil, "Runtime.StopSignal: %w", err)
	}
	return errors.Join(errs...)
}

// What the cell's network calls its parties, and where the engine listens and
// keeps its data inside of its container.
const (
	engineAlias  = "engine"
	runtimeAlias = "runtime"
	enginePort   = 6420
	peerPort     = 6421
	dataPath     = "/data"
	configPath   = "/killpoint-engine.json"
	runtimeBase  = "/api/rivet"
	datacenter   = "default"
	namespace    = "killpoint"
)

// firstGuarded is the first release that knows the outbound section.
var firstGuarded = [3]int{2, 3, 17}

// guarded decides [EngineConfig.Guarded] by the engine's version.
func guarded(c EngineConfig, version string) bool {
	if c.Guarded != nil {
		return *c.Guarded
	}
	var v [3]int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2]); n < len(v) {
		return true
	}
	return slices.Compare(v[:], firstGuarded[:]) >= 0
}

// engineJSON renders the configuration of an engine of that version, "" where
// it is unknown. Where it is tapped, the runtime is told the tap's address.
func engineJSON(c EngineConfig, version string, tapped bool) ([]byte, error) {
	front, may := engineAlias, []string{runtimeAlias}
	if tapped {
		front, may = tapAlias, append(may, tapAlias)
	}
	root := map[string]any{
		"topology": map[string]any{
			"datacenter_label": 1,
			"datacenters": map[string]any{datacenter: map[string]any{
				"datacenter_label": 1,
				"is_leader":        true,
				// The engine hands this to the runtime as its own address.
				"public_url": fmt.Sprintf("http://%s:%d", front, enginePort),
				"peer_url":   fmt.Sprintf("http://%s:%d", engineAlias, peerPort),
			}},
		},
		"guard":       map[string]any{"host": "0.0.0.0", "port": enginePort},
		"api_peer":    map[string]any{"host": "0.0.0.0", "port": peerPort},
		"metrics":     map[string]any{"host": "127.0.0.1"},
		"file_system": map[string]any{"path": dataPath + "/db"},
		"telemetry":   map[string]any{"enabled": false},
	}
	if c.LoadShedding == LoadSheddingOff {
		// Below 10000 % CPU take all work: never shed.
		root["runtime"] = map[string]any{"worker_load_shedding_curve": [][2]int{{100_000, 1000}, {100_001, 50}}}
	}
	if guarded(c, version) {
		// It would refuse to call the runtime, whose address is a private one. The
		// names of the runtime and of the tap before it are all that it may call
		// besides.
		root["outbound"] = map[string]any{"allow_hosts": may}
	}
	if c.GatewayV3 {
		root["features"] = map[string]any{"guard_gateway_v3": map[string]any{"mode": "on", "percentage": 100}}
	}
	b, err := json.MarshalIndent(merge(root, c.Extra), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the engine's configuration: %w", err)
	}
	return b, nil
}

// merge lays extra over base, section by section; neither is changed.
func merge(base, extra map[string]any) map[string]any {
	out := maps.Clone(base)
	for k, v := range extra {
		inner, isMap := v.(map[string]any)
		old, wasMap := out[k].(map[string]any)
		if isMap && wasMap {
			v = merge(old, inner)
		}
		out[k] = v
	}
	return out
}

// engineEnv overrides the configuration file: whatever Extra says, nothing is
// sent to the engine's makers.
func engineEnv(c EngineConfig) map[string]string {
	return map[string]string{"RUST_LOG": c.Log, "RIVET__TELEMETRY__ENABLED": "false"}
}
