package conformance

import (
	"fmt"
	"regexp"
	"strings"
)

// A verb is one form of a step. README.md explains each.
type verb struct {
	form  string // for people: `CLIENT sends TEXT`
	re    *regexp.Regexp
	block bool // lines may be indented below it
	do    func(*run, *step) error
}

// flaw is what is wrong with a signature.
const flaw = `(?:with a wrong secret|an hour ago|by an unknown key|without its session token|for the (?:service|region) \S+)`

// arguments are the words of a form that stand for something, and what fits.
var arguments = strings.NewReplacer(
	`\[`, `(?:`, `\]`, `)?`,
	"CLIENT", `([a-z]\w*)`, "BACKEND", `([a-z]\w*)`, "STATUS", `(\d{3})`, "CODE", `(\d+)`, "COUNT", `(\d+)`, "SIZES", `(\d+(?: \d+)*)`, "SIZE", `(\d+)`,
	"METHOD", `([A-Z]+)`, "PATH", `(\S+)`, "QUERY", `(\?\S*)`, "HEX", `((?:[0-9a-f]{2})*)`, "ID", `([^\s:]+)`, "NAME", `(\S+?)`,
	"DURATION", `(\d+(?:ms|s|m|h))`, "TYPE", `(\w+)`, "TEXT", `(.+)`, "HOW", `(unsigned|signed `+flaw+`)`, "SIGNED", `((?:signed|with a signed URL)(?: and another query| `+flaw+`)?)`,
)

// form turns what people read into what is matched: capitals are arguments,
// brackets what may be left out.
func form(text string, block bool, do func(*run, *step) error) *verb {
	expr := arguments.Replace(regexp.QuoteMeta(text))
	return &verb{text, regexp.MustCompile(`^` + expr + `$`), block, do}
}

// verbs are all there are. The first that fits is taken, so that longer forms
// come before those which end in any text.
func verbs() []*verb {
	return []*verb{
		form("operator deploys", false, (*run).deploy),
		form("operator sends METHOD PATH COUNT times", true, (*run).operateTimes),
		form("operator sends METHOD PATH[ TEXT]", true, (*run).operate),
		form("operator is answered exactly STATUS[ TEXT]", true, (*run).operated),
		form("operator is answered STATUS[ TEXT]", true, (*run).operated),
		form("operator is refused STATUS TYPE[: TEXT]", false, (*run).operatorRefused),
		form("caller sends METHOD PATH[ HOW]", true, (*run).request),
		form("caller has the policy", true, (*run).takeRole),
		form("caller has no policy", false, (*run).takeRole),
		form("caller posts binary HEX to ID", false, (*run).postBinary),
		form("caller posts SIZE bytes to ID[ until STATUS]", false, (*run).postSize),
		form("caller posts to ID: TEXT", false, (*run).post),
		form("caller posts to ID", true, (*run).post),
		form("caller gets ID", false, func(r *run, s *step) error { return r.manage("GET", s.args[0], "") }),
		form("caller deletes ID", false, func(r *run, s *step) error { return r.manage("DELETE", s.args[0], "") }),
		form("caller is answered STATUS with JSON[ TEXT]", true, (*run).answeredJSON),
		form("caller is answered STATUS[ TEXT]", true, (*run).answered),
		form("stage logs TEXT", false, (*run).logged),
		form("stage traces TEXT", false, (*run).traced),
		form("tidegate counts TEXT", false, (*run).counted),
		form("clock advances DURATION", false, (*run).advance),
		form("COUNT clients connect", false, (*run).crowd),

		form("CLIENT connects[ to PATH][ with QUERY][, SIGNED]", true, (*run).connect),
		form("CLIENT tries to connect[ to PATH][ with QUERY][, SIGNED]", true, (*run).tryConnect),
		form("CLIENT is connected", true, (*run).connected),
		form("CLIENT is refused STATUS[ TEXT]", true, (*run).refused),
		form("CLIENT is closed CODE[ TEXT]", false, (*run).closed),
		form("CLIENT is cut off", false, (*run).cutOff),
		form("CLIENT sends binary HEX", false, (*run).sendBinary),
		form("CLIENT sends fragments", true, (*run).sendFragments),
		form("CLIENT sends a message of SIZE bytes[ in frames of COUNT]", false, (*run).sendSize),
		form("CLIENT sends TEXT until closed CODE", false, (*run).sendUntilClosed),
		form("CLIENT sends TEXT", false, (*run).send),
		form("CLIENT sends", true, (*run).send),
		form("CLIENT pings[ TEXT]", false, (*run).ping),
		form("CLIENT closes[ CODE][ TEXT]", false, (*run).close),
		form("CLIENT vanishes", false, (*run).vanish),
		form("CLIENT receives nothing", false, (*run).receivesNothing), // also BACKEND
		form("CLIENT receives binary HEX", false, (*run).receiveBinary),
		form("CLIENT receives pong[ TEXT]", false, (*run).receivePong),
		form("CLIENT receives a message of SIZE bytes[ in frames of SIZES]", false, (*run).receiveSize),
		form("CLIENT stops reading", false, (*run).deafen),

		form("BACKEND answers STATUS binary HEX", false, (*run).answerBinary),
		form("BACKEND answers STATUS[ TEXT]", true, (*run).answer),
		form("BACKEND returns TEXT", false, (*run).returns),
		form("BACKEND returns", true, (*run).returns),
		form("BACKEND throws NAME: TEXT", false, (*run).throws),
		form("BACKEND waits", false, (*run).waits),
		form("BACKEND receives exactly", true, (*run).received),
		form("BACKEND receives to the byte", true, (*run).receivedBytes),
		form("BACKEND receives METHOD PATH", true, (*run).received),
		form("CLIENT receives JSON[ TEXT]", true, (*run).receiveJSON),
		form("CLIENT receives TEXT", false, (*run).receive),
		form("CLIENT receives", true, (*run).receive), // also BACKEND
	}
}

var allVerbs = verbs()

// reserved subjects are no client's name.
var reserved = map[string]bool{"operator": true, "caller": true, "clock": true, "stage": true, "tidegate": true}

// ofBackends are verbs whose subject must be a backend of the api section.
var ofBackends = regexp.MustCompile(`^BACKEND`)

// parseStep reads one step.
func parseStep(text string, block []string, api *definition) (*step, error) {
	subject, _, _ := strings.Cut(text, " ")
	isBackend := false
	if api != nil {
		_, isBackend = api.backends[subject]
	}
	for _, v := range allVerbs {
		m := v.re.FindStringSubmatch(text)
		if m == nil || ofBackends.MatchString(v.form) && !isBackend {
			continue
		}
		if len(block) > 0 && !v.block {
			return nil, fmt.Errorf("%q takes no lines below it", v.form)
		}
		s := &step{text: text, block: block, verb: v, args: m[1:]}
		return s, s.check(isBackend)
	}
	return nil, fmt.Errorf("%q is no step; the forms are:\n    %s", text, strings.Join(forms(subject), "\n    "))
}

// check refuses, before anything runs, what could not be meant.
func (s *step) check(isBackend bool) error {
	toClient := strings.HasPrefix(s.verb.form, "CLIENT")
	both := s.verb.form == "CLIENT receives" || s.verb.form == "CLIENT receives nothing"
	switch {
	case toClient && isBackend && !both:
		return fmt.Errorf("%s is a backend of the api section, and %q is what a client does", s.args[0], s.verb.form)
	case toClient && reserved[s.args[0]]:
		return fmt.Errorf("%q is no step; the forms are:\n    %s", s.text, strings.Join(forms(s.args[0]), "\n    "))
	case s.verb.form == "CLIENT receives" && !isBackend && len(s.block) == 0:
		return fmt.Errorf("what %s receives stands behind receives, or below it", s.args[0])
	case s.verb.form == "CLIENT sends" && len(s.block) == 0:
		return fmt.Errorf("what %s sends stands behind sends, or below it", s.args[0])
	}
	return nil
}

// forms are those that a subject may have meant.
func forms(subject string) []string {
	var all []string
	for _, v := range allVerbs {
		first, _, _ := strings.Cut(v.form, " ")
		if reserved[subject] && first == subject || !reserved[subject] && !reserved[first] {
			all = append(all, v.form)
		}
	}
	return all
}

// bodyOf is the text behind the verb, or that below it.
func (s *step) bodyOf(arg int) string {
	if arg < len(s.args) && s.args[arg] != "" {
		return s.args[arg]
	}
	return strings.Join(s.block, "\n")
}

// A message is a block in HTTP's form: header lines, an empty line, a body.
type message struct {
	header []headerLine
	absent []string // "no NAME"
	body   string
	exact  bool // there is a body, or "no body"
}

// headerText is a line of a block that is a header's.
var headerText = regexp.MustCompile(`^([A-Za-z0-9-]+):\s?(.*)$`)

// message reads a block as HTTP's form. inline is a body behind the verb.
func (s *step) message(inline string) (*message, error) {
	m := &message{body: inline, exact: inline != ""}
	for i, line := range s.block {
		if line == "" {
			if inline != "" {
				return nil, fmt.Errorf("a body stands behind the verb already")
			}
			m.body, m.exact = strings.Join(s.block[i+1:], "\n"), true
			return m, nil
		}
		if name, ok := strings.CutPrefix(line, "no "); ok {
			if name == "body" {
				m.exact = true
				continue
			}
			m.absent = append(m.absent, name)
			continue
		}
		h := headerText.FindStringSubmatch(line)
		if h == nil {
			return nil, fmt.Errorf("%q is no header line (Name: value), nor no NAME; a body comes below an empty line", line)
		}
		m.header = append(m.header, headerLine{h[1], h[2]})
	}
	return m, nil
}
