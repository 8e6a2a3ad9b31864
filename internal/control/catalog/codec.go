package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"

	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

// version is the stored form's. It grows when an older program would misread
// what is written; testdata/api-v1.json is what version 1 looks like.
const version = 1

// compressOver is the size in bytes over which an API is stored compressed.
const compressOver = 256 << 10

// gzipMagic begins a compressed value; JSON never does.
var gzipMagic = []byte{0x1f, 0x8b}

// storedAPI is the stored form of an API.
type storedAPI struct {
	V   int        `json:"v"`
	API *apigw.API `json:"api"`
}

func encodeAPI(api *apigw.API) ([]byte, error) {
	value, err := json.Marshal(storedAPI{V: version, API: api})
	if err != nil {
		return nil, fmt.Errorf("catalog: encode API %s: %w", api.ID, err)
	}
	if len(value) > compressOver {
		if len(value) <= maxDefinition {
			value = compress(value)
		}
		if len(value) > kv.MaxValue {
			return nil, fmt.Errorf("%w: API %s needs %d bytes compressed, at most %d fit", ErrTooLarge, api.ID, len(value), kv.MaxValue)
		}
	}
	return value, nil
}

func decodeAPI(e kv.Entry) (*apigw.API, error) {
	value := e.Value
	if bytes.HasPrefix(value, gzipMagic) {
		var err error
		if value, err = decompress(value); err != nil {
			return nil, fmt.Errorf("catalog: %s is damaged: %w", e.Key, err)
		}
	}
	var s storedAPI
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, fmt.Errorf("catalog: %s is damaged: %w", e.Key, err)
	}
	if s.V != version || s.API == nil {
		return nil, versionError(e.Key, s.V)
	}
	return s.API, nil
}

func versionError(what string, v int) error {
	return fmt.Errorf("catalog: %s is stored in form %d, and this program reads form %d; use the version of Tidegate that wrote it", what, v, version)
}
