package main

import (
	"regexp"
	"slices"
	"strings"
)

// One id in 64 begins with a dash, which the parser of flags takes for one of its own.
// idMark before it hides the dash: no argument of a process can hold a NUL.
const idMark = "\x00"

var dashedID = regexp.MustCompile(`^-[A-Za-z0-9_-]{14}=$`)

// markIDs marks the ids with a dash in front among the arguments of a command that takes ids.
func markIDs(args []string) []string {
	if len(args) == 0 || !slices.Contains([]string{"post", "disconnect", "replay"}, args[0]) {
		return args
	}
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" {
			break // what follows is no flag anyhow
		}
		if dashedID.MatchString(arg) {
			args[i] = idMark + arg
		}
	}
	return args
}

// idArgument is an id as it was typed.
func idArgument(arg string) string { return strings.TrimPrefix(arg, idMark) }
