package observe

import (
	"bytes"
	"os"
	"strconv"
)

// systemCounts are what /proc tells of this process; -1 for what it doesn't.
func systemCounts() (files int, resident int64) {
	files, resident = -1, -1
	if d, err := os.Open("/proc/self/fd"); err == nil {
		if names, err := d.Readdirnames(-1); err == nil {
			files = len(names) - 1 // the folder itself
		}
		d.Close()
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(statm); len(fields) > 1 {
			if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
				resident = pages * int64(os.Getpagesize())
			}
		}
	}
	return files, resident
}
