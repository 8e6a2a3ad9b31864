//go:build !linux

package observe

// systemCounts are not told on this system.
func systemCounts() (files int, resident int64) { return -1, -1 }
