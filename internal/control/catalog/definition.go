package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"tidegate/internal/apigw"
)

const (
	// chunkSize is the size in bytes over which a frozen definition is split.
	chunkSize = 512 << 10
	// maxDefinition bounds a definition, uncompressed: 300 integrations with a
	// template of 300 KiB each, and some room.
	maxDefinition = 96 << 20
)

// storedDefinition is the stored form of a frozen definition.
type storedDefinition struct {
	V          int               `json:"v"`
	Definition *apigw.Definition `json:"definition"`
}

// PutDefinition stores what a deployment froze: gzip, in chunks of 512 KiB. It
// belongs to no API until the deployment is stored with one.
func (c *Catalog) PutDefinition(ctx context.Context, apiID, deploymentID string, def *apigw.Definition) error {
	text, err := json.Marshal(storedDefinition{V: version, Definition: def})
	if err != nil {
		return fmt.Errorf("catalog: encode deployment %s: %w", deploymentID, err)
	}
	if len(text) > maxDefinition {
		return fmt.Errorf("%w: deployment %s has %d bytes, at most %d fit", ErrTooLarge, deploymentID, len(text), maxDefinition)
	}
	blob := compress(text)
	for n := 0; len(blob) > 0; n++ {
		chunk := blob[:min(len(blob), chunkSize)]
		blob = blob[len(chunk):]
		if _, err := c.bucket.Put(ctx, chunkKey(apiID, deploymentID, n), chunk); err != nil {
			return err
		}
	}
	return nil
}

// Definition returns what the deployment froze, or ErrNotFound.
func (c *Catalog) Definition(ctx context.Context, apiID, deploymentID string) (*apigw.Definition, error) {
	entries, err := c.bucket.List(ctx, definitionPrefix(apiID, deploymentID))
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 || strings.Contains(apiID+deploymentID, "/") {
		return nil, fmt.Errorf("%w: deployment %q of API %q", ErrNotFound, deploymentID, apiID)
	}
	var blob []byte
	for _, e := range entries { // the keys' numbers have a fixed width, so their order is the chunks'
		blob = append(blob, e.Value...)
	}
	// A chunk that is missing shows: gzip ends with a checksum and a length.
	text, err := decompress(blob)
	if err != nil {
		return nil, fmt.Errorf("catalog: deployment %s of API %s is damaged: %w", deploymentID, apiID, err)
	}
	var s storedDefinition
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("catalog: deployment %s of API %s is damaged: %w", deploymentID, apiID, err)
	}
	if s.V != version || s.Definition == nil {
		return nil, versionError("deployment "+deploymentID, s.V)
	}
	return s.Definition, nil
}

// DeleteDefinition removes what the deployment froze; none is no error.
func (c *Catalog) DeleteDefinition(ctx context.Context, apiID, deploymentID string) error {
	return c.deletePrefix(ctx, definitionPrefix(apiID, deploymentID))
}

func definitionPrefix(apiID, deploymentID string) string {
	return deploymentPrefix + apiID + "/" + deploymentID + "/"
}

func chunkKey(apiID, deploymentID string, n int) string {
	return fmt.Sprintf("%s%04d", definitionPrefix(apiID, deploymentID), n)
}

func compress(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text) // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}

func decompress(blob []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(blob))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxDefinition+1))
	if err == nil && len(text) > maxDefinition {
		err = ErrTooLarge
	}
	return text, err
}
