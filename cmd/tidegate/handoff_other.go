//go:build !linux

package main

// handOffSignals has nothing: hand-off is for Linux.
func handOffSignals() <-chan struct{} { return nil }
