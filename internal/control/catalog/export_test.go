package catalog

import (
	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

var forTest = apis(nil)

// DecodeForTest decodes a stored API.
func DecodeForTest(value []byte) (*apigw.API, error) {
	return forTest.decode(kv.Entry{Key: "apis/x", Value: value})
}

// EncodeForTest encodes an API as it is stored.
func EncodeForTest(api *apigw.API) ([]byte, error) { return forTest.encode(api) }
