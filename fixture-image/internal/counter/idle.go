package counter

import (
	"sync"
	"time"
)

// idle calls sleep when no request and no WebSocket was open for a time.
// Heartbeats are none of its business.
type idle struct {
	after time.Duration // 0: never
	sleep func()

	mu    sync.Mutex
	open  int
	timer *time.Timer
	epoch int // changes whenever the timer is set or stopped
	over  bool
}

// begin marks a request as open; the function it returns ends it.
func (i *idle) begin() func() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open++
	i.disarm()
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.open--
		i.arm()
	}
}

// start begins to count the time.
func (i *idle) start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.arm()
}

// stop ends it for good.
func (i *idle) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	i.disarm()
}

func (i *idle) arm() {
	if i.after <= 0 || i.over || i.open > 0 {
		return
	}
	i.epoch++
	epoch := i.epoch
	i.timer = time.AfterFunc(i.after, func() { i.fire(epoch) })
}

func (i *idle) disarm() {
	if i.timer != nil {
		i.timer.Stop()
		i.epoch++
	}
}

// fire sleeps, unless something began while the timer of epoch went off.
func (i *idle) fire(epoch int) {
	i.mu.Lock()
	due := i.epoch == epoch && !i.over
	i.mu.Unlock()
	if due {
		i.sleep()
	}
}
