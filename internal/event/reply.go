package event

import "errors"

// ErrMalformed says that a function's result has not the shape that a proxy
// integration must return. AWS logs it as "Malformed Lambda proxy response".
var ErrMalformed = errors.New("malformed Lambda proxy response")

// ParseReply is written in full below.
func ParseReply(payload []byte) (*Reply, error) {
	return nil, errors.New("event: ParseReply is not built yet")
}
