//go:build !unix

package transporttest

// cpuTime is not known here.
func cpuTime() int64 { return 0 }
