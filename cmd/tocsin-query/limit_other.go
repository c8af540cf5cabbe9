//go:build cgo && !linux

package main

// limitData does nothing where there is no such limit: the engine's own holds.
func limitData(uint64) {}

// resident is not known there.
func resident() uint64 { return 0 }
