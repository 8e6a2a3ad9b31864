package schedules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/pattern"
)

// An InputTransformer makes a target's input out of parts of the event.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
type InputTransformer struct {
	InputPathsMap map[string]string `json:",omitempty"` // variable name → path into the event
	InputTemplate string
}

// Bounds of input transformers, AWS's.
const (
	maxVariables = 100
	maxVariable  = 256
	maxInputPath = 256
)

var (
	variablePattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	// A placeholder is a variable's name between < and >, or one of AWS's own.
	placeholderPattern = regexp.MustCompile(`<([A-Za-z0-9_-]+|aws\.events\.(?:rule-arn|rule-name|event\.ingestion-time|event\.json|event))>`)
)

// A pathStep leads from a JSON value into a part of it.
type pathStep struct {
	name  string // of a member; empty for an element
	index int    // of an element
	all   bool   // every part
}

// stepPattern is one step in the dialect of EventBridge: .name, [3], .* or [*],
// and ['name'] as JSONPath writes names with other characters.
var stepPattern = pattern.New(`^(?:\.([A-Za-z0-9_/-]+)|\[([0-9]{1,6})\]|(\.\*|\[\*\])|\[['"]([^'"\]]+)['"]\])`)

// parsePath reads a path into an event: $ and steps.
func parsePath(text string) ([]pathStep, error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok || len(text) > maxInputPath {
		return nil, fmt.Errorf("the path %.100q must begin with $ and have at most %d characters", text, maxInputPath)
	}
	var steps []pathStep
	for rest != "" {
		m := stepPattern.FindStringSubmatch(rest)
		switch {
		case m == nil:
			return nil, fmt.Errorf("the path %.100q: EventBridge has no such step as %.50q; it has .name, [index], .* and [*]", text, rest)
		case m[3] != "":
			steps = append(steps, pathStep{all: true})
		case m[2] != "":
			n, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, err // unreachable: it is six digits
			}
			steps = append(steps, pathStep{index: n})
		default:
			steps = append(steps, pathStep{name: m[1] + m[4]})
		}
		rest = rest[len(m[0]):]
	}
	return steps, nil
}

// pick returns the part of a JSON value to which the steps lead, or nil. A path
// through every part leads to the list of what it finds.
func pick(value json.RawMessage, steps []pathStep) json.RawMessage {
	for i, step := range steps {
		if step.all {
			return pickAll(value, steps[i+1:])
		}
		if step.name != "" {
			var members map[string]json.RawMessage
			if json.Unmarshal(value, &members) != nil {
				return nil
			}
			value = members[step.name]
		} else {
			var elements []json.RawMessage
			if json.Unmarshal(value, &elements) != nil || step.index >= len(elements) {
				return nil
			}
			value = elements[step.index]
		}
		if value == nil {
			return nil
		}
	}
	return value
}

// pickAll picks from every element of an array, or every member of an object.
func pickAll(value json.RawMessage, steps []pathStep) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(value))
	open, err := dec.Token()
	if err != nil || open != json.Delim('[') && open != json.Delim('{') {
		return nil
	}
	found := []json.RawMessage{}
	for dec.More() {
		if open == json.Delim('{') {
			if _, err := dec.Token(); err != nil {
				return nil
			}
		}
		var part json.RawMessage
		if dec.Decode(&part) != nil {
			return nil
		}
		if part = pick(part, steps); part != nil {
			found = append(found, part)
		}
	}
	out, err := json.Marshal(found)
	if err != nil {
		return nil
	}
	return out
}

// check reports what EventBridge would refuse.
func (t *InputTransformer) check() error {
	switch {
	case t.InputTemplate == "" || len(t.InputTemplate) > maxInput:
		return fmt.Errorf("its InputTemplate must have 1 to %d characters", maxInput)
	case len(t.InputPathsMap) > maxVariables:
		return fmt.Errorf("its InputPathsMap may have %d variables, and has %d", maxVariables, len(t.InputPathsMap))
	}
	for name, path := range t.InputPathsMap {
		switch {
		case len(name) > maxVariable || !variablePattern.MatchString(name):
			return fmt.Errorf("its variable %.100q must have 1 to %d letters, digits, - and _", name, maxVariable)
		case strings.HasPrefix(strings.ToUpper(name), "AWS"):
			return fmt.Errorf("its variable %q begins with AWS, which is reserved", name)
		}
		if _, err := parsePath(path); err != nil {
			return fmt.Errorf("its variable %s: %w", name, err)
		}
	}
	filled, unknown := t.fill(func(name string) (json.RawMessage, bool) {
		_, known := t.InputPathsMap[name]
		return json.RawMessage(`null`), known || strings.HasPrefix(name, "aws.")
	})
	if unknown != "" {
		return fmt.Errorf("its InputTemplate has the placeholder <%s>, which InputPathsMap doesn't name", unknown)
	}
	// A template is one JSON value, or strings on lines of their own.
	dec := json.NewDecoder(strings.NewReader(filled))
	for {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("its InputTemplate is no valid JSON, that is an object, or text in double quotes: %w", err)
		}
	}
}

// fill puts values in the place of the template's placeholders: as JSON
// outside of quotes, as text between them. A nil value leaves nothing. What
// stands between quotes and isn't known is text; outside it is named as unknown.
func (t *InputTransformer) fill(value func(name string) (json.RawMessage, bool)) (filled, unknown string) {
	var out strings.Builder
	quoted := false
	template := t.InputTemplate
	for i := 0; i < len(template); {
		switch c := template[i]; {
		case c == '\\' && quoted && i+1 < len(template):
			out.WriteString(template[i : i+2])
			i += 2
			continue
		case c == '"':
			quoted = !quoted
		case c == '<':
			m := placeholderPattern.FindStringSubmatchIndex(template[i:])
			if m == nil || m[0] != 0 {
				break
			}
			name := template[i+m[2] : i+m[3]]
			v, known := value(name)
			if !known {
				if !quoted {
					return "", name
				}
				break
			}
			if quoted {
				v = asText(v)
			}
			out.Write(v)
			i += m[1]
			continue
		}
		out.WriteByte(template[i])
		i++
	}
	return out.String(), ""
}

// asText is a JSON value as it stands within a JSON string: a string without
// its quotes, anything else escaped.
func asText(v json.RawMessage) json.RawMessage {
	if len(v) == 0 {
		return nil
	}
	if v[0] == '"' {
		return v[1 : len(v)-1]
	}
	b, err := json.Marshal(string(v))
	if err != nil {
		return nil // unreachable: a string can be encoded
	}
	return b[1 : len(b)-1]
}

// input is what a target gets of an event: all of it, the part that InputPath
// leads to, or what InputTransformer makes of it. now is when the event came in.
func (t *Target) input(r *Rule, event json.RawMessage, now time.Time) ([]byte, error) {
	if t.InputPath != "" {
		steps, err := parsePath(t.InputPath)
		if err != nil {
			return nil, err // unreachable: PutTargets read it
		}
		if part := pick(event, steps); part != nil {
			return part, nil
		}
		return nil, fmt.Errorf("its InputPath %s leads to nothing in the event", t.InputPath)
	}
	if t.Transformer == nil {
		return event, nil
	}
	text := func(s string) json.RawMessage {
		b, err := json.Marshal(s)
		if err != nil {
			return nil // unreachable: a string can be encoded
		}
		return b
	}
	filled, unknown := t.Transformer.fill(func(name string) (json.RawMessage, bool) {
		switch name {
		case "aws.events.rule-arn":
			return text(r.ARN), true
		case "aws.events.rule-name":
			return text(r.Name), true
		case "aws.events.event.ingestion-time":
			return text(now.UTC().Format(time.RFC3339)), true
		case "aws.events.event.json":
			return event, true
		case "aws.events.event":
			return withoutDetail(event), true
		}
		path, ok := t.Transformer.InputPathsMap[name]
		if !ok {
			return nil, false
		}
		steps, err := parsePath(path)
		if err != nil {
			return nil, false // unreachable: PutTargets read it
		}
		return pick(event, steps), true
	})
	if unknown != "" {
		return nil, fmt.Errorf("its InputTemplate has the placeholder <%s>, which InputPathsMap doesn't name", unknown) // unreachable: PutTargets checked it
	}
	return []byte(filled), nil
}

// withoutDetail is an event without its detail, its other members in order.
func withoutDetail(event json.RawMessage) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(event))
	if _, err := dec.Token(); err != nil {
		return event
	}
	out := []byte{'{'}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return event
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return event
		}
		name, ok := key.(string)
		if !ok || name == "detail" {
			continue
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return event
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted...), ':'), value...)
	}
	return append(out, '}')
}
