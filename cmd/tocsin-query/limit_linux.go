//go:build cgo

package main

import "golang.org/x/sys/unix"

// limitData bounds what the process may allocate at all: what the engine's own limit misses.
func limitData(bytes uint64) {
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: bytes, Max: bytes})
}
