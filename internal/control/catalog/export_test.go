package catalog

import (
	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

// DecodeForTest decodes a stored API.
func DecodeForTest(value []byte) (*apigw.API, error) {
	return decodeAPI(kv.Entry{Key: "apis/x", Value: value})
}

// EncodeForTest encodes an API as it is stored.
func EncodeForTest(api *apigw.API) ([]byte, error) { return encodeAPI(api) }
