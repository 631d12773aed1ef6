// Package noise watches what the host does to a trial: how late timers fire,
// and how much of the CPU is busy or stolen. A busy host makes an engine slow
// and (above about 70 % CPU) shed load, which looks like a race and is none.
package noise

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/killpoint/killpoint/history"
	"github.com/killpoint/killpoint/internal/clock"
)

// tick is how often a timer's lateness is measured; span how much time one
// event of the history sums up.
const (
	tick = 10 * time.Millisecond
	span = 500 * time.Millisecond
)

// Watch records a [history.Noise] for each half second until the returned
// function is called, which records the last one and returns when all is
// written.
func Watch(rec history.Recorder) (stop func(), err error) {
	first, err := readCPU()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		watch(ctx, rec, first)
	}()
	return func() { cancel(); <-done }, nil
}

func watch(ctx context.Context, rec history.Recorder, before cpu) {
	begin, worst := clock.Now(), time.Duration(0)
	flush := func() {
		after, err := readCPU()
		if err != nil {
			return // it was readable before; a gap in the record shows itself
		}
		rec.Record("harness", history.KindNoise, after.since(before, clock.Now().Sub(begin), worst))
		begin, worst, before = clock.Now(), 0, after
	}
	defer flush()
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		due := clock.Now().Add(tick)
		timer.Reset(tick)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		worst = max(worst, clock.Now().Sub(due))
		if clock.Now().Sub(begin) >= span {
			flush()
		}
	}
}

// cpu is the first line of /proc/stat, summed, in ticks.
type cpu struct{ total, idle, steal int64 }

func (c cpu) since(b cpu, d, worst time.Duration) *history.Noise {
	n := &history.Noise{SpanNS: int64(d), SchedDelayNS: int64(worst)}
	if total := float64(c.total - b.total); total > 0 {
		// The kernel's count of iowait may go down, as proc(5) says.
		n.Busy = share(total-float64(c.idle-b.idle), total)
		n.Steal = share(float64(c.steal-b.steal), total)
	}
	return n
}

func share(part, total float64) float64 { return min(1, max(0, part/total)) }

func readCPU() (cpu, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpu{}, fmt.Errorf("read the host's CPU counters: %w", err)
	}
	return parseCPU(b)
}

// parseCPU follows proc(5): user nice system idle iowait irq softirq steal,
// then guest times, which are part of user and would count twice.
func parseCPU(stat []byte) (cpu, error) {
	sc := bufio.NewScanner(bytes.NewReader(stat))
	if !sc.Scan() {
		return cpu{}, fmt.Errorf("host's CPU counters: /proc/stat is empty")
	}
	fields := bytes.Fields(sc.Bytes())
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return cpu{}, fmt.Errorf("host's CPU counters: unexpected first line %q", sc.Text())
	}
	var c cpu
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return cpu{}, fmt.Errorf("host's CPU counters: %w", err)
		}
		c.total += n
		switch i {
		case 3, 4:
			c.idle += n
		case 7:
			c.steal += n
		}
	}
	return c, nil
}
