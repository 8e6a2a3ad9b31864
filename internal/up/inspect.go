package up

import (
	"fmt"
	"log/slog"
	"sort"
	"strings"

	"tidegate/internal/service/functions"
	"tidegate/internal/stack"
)

// An Inspection asks for a debugger's port. Without a Function it is that of the
// first, and each further one has the next port.
type Inspection struct {
	Function string // logical id or name
	Port     int
}

// An inspected is where debuggers attach, by the function's name.
type inspected map[string]inspectedFunction

type inspectedFunction struct {
	logicalID string
	port      int
}

// inspections gives the template's functions their ports.
func inspections(wanted []Inspection, all []stack.Function) (inspected, error) {
	var able []stack.Function
	for _, f := range all {
		if functions.Inspectable(f.Runtime) {
			able = append(able, f)
		}
	}
	out := inspected{}
	add := func(f stack.Function, port int) error {
		for name, other := range out {
			if name == f.Name {
				return UsageError(fmt.Sprintf("--inspect names %s twice", f.LogicalID))
			}
			if other.port == port {
				return UsageError(fmt.Sprintf("--inspect gives port %d to both %s and %s", port, other.logicalID, f.LogicalID))
			}
		}
		if port > 65535 {
			return UsageError("--inspect: there are not enough ports above for every function; choose a lower one, or FUNCTION=PORT")
		}
		out[f.Name] = inspectedFunction{f.LogicalID, port}
		return nil
	}
	for _, w := range wanted {
		if w.Function == "" {
			if len(able) == 0 {
				return nil, UsageError("--inspect: the template has no function on nodejs* or python3.*, and those are what a debugger can attach to")
			}
			for i, f := range able {
				if err := add(f, w.Port+i); err != nil {
					return nil, err
				}
			}
			continue
		}
		f, err := named(w.Function, all)
		if err != nil {
			return nil, err
		}
		if !functions.Inspectable(f.Runtime) {
			return nil, UsageError(fmt.Sprintf("--inspect: %s runs on %s; a debugger can attach to nodejs* and python3.*", f.LogicalID, f.Runtime))
		}
		if err := add(f, w.Port); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// named finds a function by logical id or name.
func named(text string, all []stack.Function) (stack.Function, error) {
	var ids []string
	for _, f := range all {
		if f.LogicalID == text || f.Name == text {
			return f, nil
		}
		ids = append(ids, f.LogicalID)
	}
	return stack.Function{}, UsageError(fmt.Sprintf("--inspect: the template has no function %s; it has %s", text, strings.Join(ids, ", ")))
}

// port is a function's, 0 for none.
func (in inspected) port(function string) int { return in[function].port }

// tell says where debuggers attach.
func (in inspected) tell(tale *story) {
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return in[names[i]].port < in[names[j]].port })
	for _, name := range names {
		tale.note(slog.LevelInfo, "%s: attach a debugger to 127.0.0.1:%d; one invocation at a time, and neither its timeout nor the integration's 29 s end it", in[name].logicalID, in[name].port)
	}
}
