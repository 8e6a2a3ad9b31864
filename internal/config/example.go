package config

import _ "embed"

// Example is an annotated file with every key: what it sets is the default, and
// what a # stands directly before is an example.
//
//go:embed example.yaml
var Example string
