// Package conformance holds AWS's behaviours, one readable script each, and runs
// them against a Tidegate in this process, a built binary, AWS itself, or any
// other endpoint. It speaks AWS's APIs and WebSocket alone and knows nothing of
// how Tidegate is built. README.md says how to run it and how a script is written.
package conformance
