package functions

import "embed"

// runtimeFiles are what a function's process loads: the Node.js runtime
// (bootstrap.cjs), the redirection (redirect.cjs), the resolver of the SDK.
//
//go:embed runtime/bootstrap.cjs runtime/redirect.cjs runtime/resolve.mjs
var runtimeFiles embed.FS
