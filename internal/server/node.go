package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/connection"
	"tidegate/internal/kv"
	"tidegate/internal/kv/filekv"
)

// openData makes the data dir and opens its store, which one process holds; patience
// is Options.Patience.
func openData(dir string, patience time.Duration) (*filekv.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data dir: %w", err)
	}
	ignore := filepath.Join(dir, ".gitignore")
	if _, err := os.Stat(ignore); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write into the data dir: %w", err)
		}
	}
	store, err := openUnused(dir, patience)
	if err != nil {
		return nil, err
	}
	if err := writePID(dir); err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

// pidFile is, in a data dir, the file that says which process has it.
func pidFile(dir string) string { return filepath.Join(dir, "pid") }

// writePID says whose the data dir is.
func writePID(dir string) error {
	if err := os.WriteFile(pidFile(dir), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("write into the data dir: %w", err)
	}
	return nil
}

// openUnused opens a data dir's store, unless another process has it.
func openUnused(dir string, patience time.Duration) (*filekv.Store, error) {
	store, err := filekv.OpenWithin(filepath.Join(dir, "tidegate.db"), patience)
	if errors.Is(err, filekv.ErrLocked) {
		pid, _ := os.ReadFile(pidFile(dir))
		return nil, fmt.Errorf("the data dir %s is in use by another Tidegate (pid %s); stop it, or choose another (--data-dir, or data_dir of a configuration)", dir, strings.TrimSpace(string(pid)))
	}
	return store, err
}

// nodeKeys are under which a node keeps what makes connection ids its own.
const (
	keyIncarnation = "incarnation"
	keyIDs         = "connection-key"
)

// openRegistry returns the table of connections under a new incarnation, made
// durable before anything listens: an id given out before can never mean a
// connection of today.
func openRegistry(ctx context.Context, node kv.Bucket, bound int) (*connection.Registry, error) {
	e, err := node.Get(ctx, keyIncarnation)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	var last uint64
	if err == nil {
		if last, err = strconv.ParseUint(string(e.Value), 10, 32); err != nil {
			return nil, fmt.Errorf("the data dir's incarnation is damaged: %w", err)
		}
	}
	next := last%connection.MaxIncarnation + 1 // from 1 to the most, then again
	if _, err := node.Swap(ctx, keyIncarnation, []byte(strconv.FormatUint(next, 10)), e.Revision); err != nil {
		return nil, fmt.Errorf("make the incarnation durable: %w", err)
	}
	key, err := idKey(ctx, node)
	if err != nil {
		return nil, err
	}
	codec, err := connection.NewCodec(key)
	if err != nil {
		return nil, err
	}
	return connection.NewRegistry(codec, uint32(next), bound)
}

// idKey is the secret under which connection ids hide order and number; one for
// the life of the data dir.
func idKey(ctx context.Context, node kv.Bucket) ([]byte, error) {
	e, err := node.Get(ctx, keyIDs)
	if err == nil {
		return e.Value, nil
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	key := make([]byte, 16)
	rand.Read(key)
	if _, err := node.Swap(ctx, keyIDs, key, 0); err != nil {
		return nil, fmt.Errorf("store the key of connection ids: %w", err)
	}
	return key, nil
}

// RootKeyFile is, below the data dir, where the random root key lies.
const RootKeyFile = "root.key"

// rootSecret returns the data dir's random root key, made at first use.
func rootSecret(dir string) (string, error) {
	file := filepath.Join(dir, RootKeyFile)
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the root key: %w", err)
	}
	if err == nil && len(strings.TrimSpace(string(b))) >= 32 && onlyOurs(file) {
		return strings.TrimSpace(string(b)), nil
	}
	// A key that others could read is one no more. Writing to a file that is there
	// would keep its mode.
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("replace the root key: %w", err)
	}
	secret := randomSecret()
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("store the root key: %w", err)
	}
	return secret, nil
}

// onlyOurs says that nobody but the file's owner may read it. Windows has no
// such bits; there the folder's own rules hold.
func onlyOurs(file string) bool {
	info, err := os.Stat(file)
	return err == nil && (runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0)
}

// randomSecret is 160 random bits in hex.
func randomSecret() string {
	var b [20]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
