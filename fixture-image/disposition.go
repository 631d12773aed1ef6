package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is the kernel's, not the C library's. All zero it is SIG_DFL without
// flags on every architecture.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// defaultAction gives a signal back to the kernel. signal.Reset does not: it gives
// it back to the handler that Go's runtime has for every signal, so that a Go
// program without it cannot show what others, such as Node, do.
func defaultAction(sig syscall.Signal) error {
	// A signal that dumps core must not leave the dump behind.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	var act sigaction
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, unsafe.Sizeof(act.mask), 0, 0)
	if errno != 0 {
		return fmt.Errorf("ask the kernel for the default action of %s: %w", nameOf(sig), errno)
	}
	return nil
}

// nameOf is the signal's name as people write it.
func nameOf(sig os.Signal) string {
	n, ok := sig.(syscall.Signal)
	if !ok {
		return sig.String()
	}
	if name := unix.SignalName(n); name != "" {
		return name
	}
	return n.String()
}
