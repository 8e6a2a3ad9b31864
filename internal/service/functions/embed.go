package functions

import "embed"

// runtimeFiles are what a function's process loads: the Node.js runtime
// (bootstrap.cjs), the redirection (redirect.cjs), the resolver of the SDK; the
// Python runtime (bootstrap.py).
//
//go:embed runtime/bootstrap.cjs runtime/redirect.cjs runtime/resolve.mjs runtime/bootstrap.py
var runtimeFiles embed.FS
