package historytest

import "github.com/killpoint/killpoint/history"

// Leaving adds an engine that is asked to leave by a stop at told and is gone at
// gone, with that code; killed says that its grace had ended. The next one starts
// 100 ms later and serves another 100 ms after that.
func (b *Builder) Leaving(told, gone, code int, killed bool) *Builder {
	b.At(told, history.KindFault, &history.Fault{Kind: "stop", Target: "engine#1", Phase: history.FaultBegun, Detail: "SIGTERM, SIGKILL after 10s"})
	signal := "SIGTERM"
	if killed {
		signal = "SIGKILL"
	}
	b.At(gone, history.KindExit, &history.Exit{Role: "engine", Name: "engine", Incarnation: 1, Signal: signal, By: "harness", GraceEnded: killed, Code: code, Source: "pidfd", LogLines: 9})
	b.At(gone, history.KindFault, &history.Fault{Kind: "stop", Target: "engine#1", Phase: history.FaultLanded})
	b.At(gone+100, history.KindContainer, &history.Container{Role: "engine", Name: "engine", Incarnation: 2, What: history.ContainerStarting})
	return b.At(gone+200, history.KindHealth, &history.Health{What: "ok"})
}

// Closed adds the end of a runtime's connection, for that reason.
func (b *Builder) Closed(ms int, reason string) *Builder {
	return b.At(ms, history.KindEnvoy, &history.Envoy{What: "closed", Code: 1011, Reason: reason}).by(Runtime)
}
