//go:build !linux

package tables

import "os"

// datasync returns when the file's content is on disk.
func datasync(f *os.File) error { return f.Sync() }
