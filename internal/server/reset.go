package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stateNames are what Tidegate keeps in a data dir. Whatever else lies there is
// someone else's.
var stateNames = []string{"tidegate.db", "tables", "functions", "logs", "recordings", "ca-bundle.pem", "ca.pem", RootKeyFile, "run.json", "pid", ".gitignore"}

// A StatePart is one of the things that a data dir holds.
type StatePart struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// ErrNoState says that a folder holds nothing of Tidegate's.
var ErrNoState = errors.New("there is no state of Tidegate's")

// State lists what a data dir holds. One that a running Tidegate uses is an error
// that names its process; a folder that is no data dir is ErrNoState.
func State(dir string) ([]StatePart, error) {
	if _, err := os.Stat(filepath.Join(dir, "tidegate.db")); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoState, dir)
	}
	store, err := openUnused(dir, 0)
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	var parts []StatePart
	for _, name := range stateNames {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		size := info.Size()
		if info.IsDir() {
			if size, err = sizeOf(path); err != nil {
				return nil, err
			}
		}
		parts = append(parts, StatePart{name, size})
	}
	return parts, nil
}

func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// Reset deletes what State lists, and the folder when nothing else is in it. It
// returns what it deleted.
func Reset(dir string) ([]StatePart, error) {
	parts, err := State(dir)
	if err != nil {
		return nil, err
	}
	for _, p := range parts { // the store first: without it, the rest is no state
		if err := os.RemoveAll(filepath.Join(dir, p.Name)); err != nil {
			return nil, fmt.Errorf("delete the state: %w", err)
		}
	}
	os.Remove(dir) // it stays when someone else's things are in it
	return parts, nil
}
