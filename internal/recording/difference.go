package recording

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tidegate/internal/event"
)

// A Difference is one thing that is not as it was recorded.
type Difference struct {
	Path string `json:"path"` // outcome, error, answer.body.items[0].name, …
	// Was and Is are values of JSON; one that is missing has none.
	Was any `json:"was,omitempty"`
	Is  any `json:"is,omitempty"`
}

// Bounds on what is compared and listed.
const (
	maxDifferences = 200
	maxNesting     = 100 // deeper values are compared whole
)

// differences compares what was recorded with what is now. Durations differ
// always, and are no difference.
func differences(was, is *Result, wasPushes, isPushes []Push) []Difference {
	c := comparison{list: []Difference{}}
	c.text("routeKey", string(was.RouteKey), string(is.RouteKey))
	c.text("target", was.Target, is.Target)
	c.text("outcome", string(was.Outcome), string(is.Outcome))
	c.values("status", float64(was.Status), float64(is.Status), 0)
	c.text("error", settled(was.Error), settled(is.Error))
	c.values("answer", answerValue(was.Answer), answerValue(is.Answer), 0)
	c.values("pushes", pushValues(wasPushes), pushValues(isPushes), 0)
	return c.list
}

// lambdaID is the id of an invocation, which each one has anew.
var lambdaID = regexp.MustCompile(`RequestId: [0-9a-f-]{36}`)

func settled(text string) string { return lambdaID.ReplaceAllString(text, "RequestId: …") }

// answerValue is an answer as a value of JSON; a body that is JSON is a value too.
func answerValue(a *Answer) any {
	if a == nil {
		return nil
	}
	v := map[string]any{"statusCode": float64(a.Status)}
	if len(a.Header) > 0 {
		headers := map[string]any{}
		for _, f := range a.Header {
			headers[strings.ToLower(f.Name)] = headerValue(headers[strings.ToLower(f.Name)], f)
		}
		v["headers"] = headers
	}
	if a.Size > 0 {
		v["bytes"] = float64(a.Size)
	}
	switch {
	case len(a.Binary) > 0:
		v["bodyBase64"] = base64.StdEncoding.EncodeToString(a.Binary)
	case a.Body != "":
		v["body"] = bodyValue(a.Body)
	}
	return v
}

// bodyValue is the value that a body is, or its text when it isn't JSON. Numbers
// keep all their digits.
func bodyValue(text string) any {
	if !json.Valid([]byte(text)) {
		return text
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return text
	}
	return v
}

// headerValue joins repeated fields as HTTP does.
func headerValue(before any, f event.Field) string {
	if before == nil {
		return f.Value
	}
	return fmt.Sprint(before) + ", " + f.Value
}

// pushValues are pushes as values of JSON, in an order that doesn't depend on
// which of several was faster. What was withheld counts as sent.
func pushValues(pushes []Push) any {
	if len(pushes) == 0 {
		return nil
	}
	var lines []string
	for _, p := range pushes {
		if p.Outcome == "withheld" {
			p.Outcome = "queued"
		}
		lines = append(lines, fmt.Sprintf("%s %s %d bytes: %s", p.Method, p.ConnectionID, p.Bytes, p.Outcome))
	}
	slices.Sort(lines)
	values := make([]any, len(lines))
	for i, l := range lines {
		values[i] = l
	}
	return values
}

// A comparison collects differences.
type comparison struct{ list []Difference }

func (c *comparison) add(path string, was, is any) {
	if len(c.list) < maxDifferences {
		c.list = append(c.list, Difference{path, was, is})
	}
}

// text compares two texts, of which an empty one is none.
func (c *comparison) text(path, was, is string) {
	value := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	if was != is {
		c.add(path, value(was), value(is))
	}
}

// values compares two values of JSON.
func (c *comparison) values(path string, was, is any, depth int) {
	if depth < maxNesting {
		switch w := was.(type) {
		case map[string]any:
			if i, ok := is.(map[string]any); ok {
				c.objects(path, w, i, depth)
				return
			}
		case []any:
			if i, ok := is.([]any); ok {
				c.arrays(path, w, i, depth)
				return
			}
		}
	}
	a, errA := json.Marshal(was)
	b, errB := json.Marshal(is)
	if errA != nil || errB != nil || string(a) != string(b) {
		c.add(path, was, is)
	}
}

func (c *comparison) objects(path string, was, is map[string]any, depth int) {
	names := slices.Collect(maps.Keys(was))
	for name := range is {
		if _, ok := was[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.values(path+member(name), was[name], is[name], depth+1)
	}
}

func (c *comparison) arrays(path string, was, is []any, depth int) {
	for i := range max(len(was), len(is)) {
		var a, b any
		if i < len(was) {
			a = was[i]
		}
		if i < len(is) {
			b = is[i]
		}
		c.values(path+"["+strconv.Itoa(i)+"]", a, b, depth+1)
	}
}

// plainName is a name that needs no quotes in a path.
var plainName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]*$`)

// member is how a path goes on to a member of an object.
func member(name string) string {
	if plainName.MatchString(name) {
		return "." + name
	}
	return "[" + strconv.Quote(name) + "]"
}
