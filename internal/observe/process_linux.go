package observe

import (
	"bytes"
	"io"
	"os"
	"strconv"
)

// systemCounts are what /proc tells of this process; -1 for what it doesn't.
func systemCounts() (files int, resident int64) {
	files, resident = -1, -1
	if n, err := openFiles(); err == nil {
		files = n
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

// openFiles counts this process's descriptors. Linux tells how many there are since
// 6.2; before, each is listed, some at a time: there may be 20,000, and what measures
// memory shall leave none behind.
func openFiles() (int, error) {
	if i, err := os.Stat("/proc/self/fd"); err == nil && i.Size() > 0 {
		return int(i.Size()), nil
	}
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	defer d.Close()
	n := -1 // the folder itself
	for {
		names, err := d.Readdirnames(256)
		n += len(names)
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return 0, err
		}
	}
}
