package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"

	"tidegate/internal/kv"
)

// version is the stored form's. It grows when an older program would misread
// what is written; testdata/api-v1.json is what version 1 looks like.
const version = 1

// compressOver is the size in bytes over which a resource is stored compressed.
const compressOver = 256 << 10

// gzipMagic begins a compressed value; JSON never does.
var gzipMagic = []byte{0x1f, 0x8b}

// encode makes the stored form: {"v":1,"api":{…}}.
func (c *Collection[T]) encode(v *T) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("catalog: encode %s %s: %w", c.kind, c.id(v), err)
	}
	value := append(fmt.Appendf(nil, `{"v":%d,%q:`, version, c.member), text...)
	value = append(value, '}')
	if len(value) > compressOver {
		if len(value) <= maxDefinition {
			value = compress(value)
		}
		if len(value) > kv.MaxValue {
			return nil, fmt.Errorf("%w: %s %s needs %d bytes compressed, at most %d fit", ErrTooLarge, c.kind, c.id(v), len(value), kv.MaxValue)
		}
	}
	return value, nil
}

func (c *Collection[T]) decode(e kv.Entry) (*T, error) {
	value := e.Value
	if bytes.HasPrefix(value, gzipMagic) {
		var err error
		if value, err = decompress(value); err != nil {
			return nil, fmt.Errorf("catalog: %s is damaged: %w", e.Key, err)
		}
	}
	var stored map[string]json.RawMessage
	var v *T
	form := 0
	err := json.Unmarshal(value, &stored)
	if err == nil && stored["v"] != nil {
		err = json.Unmarshal(stored["v"], &form)
	}
	if err == nil && stored[c.member] != nil {
		err = json.Unmarshal(stored[c.member], &v)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("catalog: %s is damaged: %w", e.Key, err)
	case form != version || v == nil:
		return nil, versionError(e.Key, form)
	}
	return v, nil
}

func versionError(what string, v int) error {
	return fmt.Errorf("catalog: %s is stored in form %d, and this program reads form %d; use the version of Tidegate that wrote it", what, v, version)
}
