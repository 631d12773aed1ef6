package historytest

import (
	"fmt"

	"github.com/killpoint/killpoint/history"
)

// Lived adds a life of a runtime: started, by the daemon or by the rig, serving 5 ms
// later, and gone with that code; a negative end leaves it alive.
func (b *Builder) Lived(n, started, ended int, byDaemon bool, code int) *Builder {
	by := ""
	if byDaemon {
		by = "daemon"
	}
	b.At(started, history.KindContainer, &history.Container{Role: "runtime", Name: "runtime", Incarnation: n, What: history.ContainerStarted, By: by})
	if ended < 0 || ended > started+5 {
		b.At(started+5, "runtime.listening", map[string]string{}).by(fmt.Sprintf("runtime#%d", n))
	}
	if ended >= 0 {
		b.At(ended, history.KindExit, &history.Exit{Role: "runtime", Name: "runtime", Incarnation: n, Code: code, OOM: code == 999})
	}
	return b
}
