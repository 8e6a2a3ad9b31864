// Package ws is the WebSocket protocol (RFC 6455) as data: a decoder that is
// fed bytes and gives out messages and control frames, encoders that append to
// a slice, compression without context takeover (RFC 7692), the handshake's
// checks, and the close codes. It does no input or output, starts no goroutine and
// reads no clock, so that the same code serves an event loop, a goroutine per
// connection and a test.
//
// A Decoder is a plain struct without pointers to anything but its own bytes:
// a connection in mid-message can be written down and continued elsewhere.
package ws
