//go:build cgo

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// limitData bounds what the process may allocate at all: what the engine's own limit misses.
func limitData(bytes uint64) {
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: bytes, Max: bytes})
}

// resident is how much memory the process has now, in bytes; 0 when that is not known.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
