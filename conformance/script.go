package conformance

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A script is one behaviour: what is known of it, an API, and steps.
type script struct {
	file       string // its path, as failures name it
	id         string // WS-02-017
	title      string // the behaviour in a sentence
	source     string // the page or report that says so
	confidence string // doc, observed or guess
	status     string // supported, open or missing
	why        string // of missing
	needs      []string
	api        *definition // nil: the script makes its own
	steps      []*step
}

// topic is the folder of the script: 02-routing.
func (s *script) topic() string { return path.Base(path.Dir(s.file)) }

// needed says whether the script says that it needs something.
func (s *script) needed(what string) bool { return slices.Contains(s.needs, what) }

// A step is one line of a script and the lines that are indented below it.
type step struct {
	line  int
	text  string
	block []string // without their common indentation
	verb  *verb
	args  []string // the groups of verb.form
}

// A grammarError names the line of a script that can't be understood.
type grammarError struct {
	file string
	line int
	text string
}

// Error is file:line: what is wrong.
func (e *grammarError) Error() string { return fmt.Sprintf("%s:%d: %s", e.file, e.line, e.text) }

// What a header may say.
var (
	validID     = regexp.MustCompile(`^WS-\d\d-\d\d\d$`)
	validFile   = regexp.MustCompile(`^(\d\d)-[a-z0-9-]+/[a-z0-9-]+\.txt$`)
	confidences = []string{"doc", "observed", "guess"}
	knownNeeds  = []string{"clock", "extended", "tidegate"}
)

// loadScripts reads every script below root, in the order of their paths.
func loadScripts(fsys fs.FS, root string) ([]*script, error) {
	var all []*script
	byID := map[string]string{}
	err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		s, err := parseScript(name, string(text))
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(name, root+"/")
		m := validFile.FindStringSubmatch(rel)
		if m == nil {
			return &grammarError{name, 1, "a script's path is NN-topic/what-it-shows.txt, in small letters"}
		}
		if m[1] != s.id[3:5] {
			return &grammarError{name, 1, fmt.Sprintf("id %s does not belong to topic %s", s.id, m[1])}
		}
		if other, ok := byID[s.id]; ok {
			return &grammarError{name, 1, fmt.Sprintf("id %s is %s's already", s.id, other)}
		}
		byID[s.id] = name
		all = append(all, s)
		return nil
	})
	return all, err
}

// A scriptLines is a script that is being read.
type scriptLines struct {
	file  string
	lines []string
	at    int // index of the next line
}

func (l *scriptLines) fail(line int, format string, args ...any) error {
	return &grammarError{l.file, line, fmt.Sprintf(format, args...)}
}

// parseScript reads one script.
func parseScript(file, text string) (*script, error) {
	s := &script{file: file}
	l := &scriptLines{file: file, lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	if err := l.header(s); err != nil {
		return nil, err
	}
	for l.skip(); l.at < len(l.lines); l.skip() {
		number, line := l.at+1, strings.TrimRight(l.lines[l.at], " ")
		if strings.HasPrefix(line, " ") {
			return nil, l.fail(number, "%q is indented, and nothing above it takes lines", strings.TrimSpace(line))
		}
		l.at++
		block, blockLine := l.block()
		if line == "api" {
			if s.api != nil || len(s.steps) > 0 {
				return nil, l.fail(number, "api comes once, before the steps")
			}
			var err error
			if s.api, err = parseDefinition(strings.Join(block, "\n")); err != nil {
				return nil, l.fail(blockLine, "api: %v", err)
			}
			continue
		}
		st, err := parseStep(line, block, s.api)
		if err != nil {
			return nil, l.fail(number, "%v", err)
		}
		st.line = number
		s.steps = append(s.steps, st)
	}
	if len(s.steps) == 0 && s.status != "missing" {
		return nil, l.fail(len(l.lines), "a script has steps, unless its status is missing")
	}
	return s, nil
}

// skip passes over empty lines and comments.
func (l *scriptLines) skip() {
	for l.at < len(l.lines) {
		line := strings.TrimSpace(l.lines[l.at])
		if line != "" && !strings.HasPrefix(l.lines[l.at], "#") {
			return
		}
		l.at++
	}
}

// header reads the lines up to the first empty one.
func (l *scriptLines) header(s *script) error {
	fields := map[string]*string{"id": &s.id, "title": &s.title, "source": &s.source, "confidence": &s.confidence, "status": &s.status, "needs": new(string)}
	for ; l.at < len(l.lines) && strings.TrimSpace(l.lines[l.at]) != ""; l.at++ {
		name, value, ok := strings.Cut(l.lines[l.at], ":")
		field := fields[name]
		if !ok || field == nil {
			return l.fail(l.at+1, "the header has id, title, source, confidence, status and needs; %q is none of them", name)
		}
		if *field != "" {
			return l.fail(l.at+1, "%s is said twice", name)
		}
		*field = strings.TrimSpace(value)
	}
	for _, name := range []string{"id", "title", "source", "confidence", "status"} {
		if *fields[name] == "" {
			return l.fail(1, "the header lacks %s", name)
		}
	}
	s.needs = strings.FieldsFunc(*fields["needs"], func(r rune) bool { return r == ',' || r == ' ' })
	s.status, s.why, _ = strings.Cut(s.status, ":")
	s.why = strings.TrimSpace(s.why)
	for _, n := range s.needs {
		if !slices.Contains(knownNeeds, n) {
			return l.fail(1, "needs is some of %s, not %q", strings.Join(knownNeeds, ", "), n)
		}
	}
	switch {
	case !validID.MatchString(s.id):
		return l.fail(1, "an id looks like WS-02-017, not %q", s.id)
	case !slices.Contains(confidences, s.confidence):
		return l.fail(1, "confidence is doc, observed or guess, not %q", s.confidence)
	case s.status == "missing" && s.why == "":
		return l.fail(1, "status missing says why: missing: no function can be throttled yet")
	case !slices.Contains([]string{"supported", "open", "missing"}, s.status):
		return l.fail(1, "status is supported, open or missing: why, not %q", s.status)
	}
	return nil
}

// block takes the indented lines that follow, without their indentation and the
// empty lines behind them.
func (l *scriptLines) block() (lines []string, first int) {
	first = l.at + 1
	for ; l.at < len(l.lines); l.at++ {
		line := strings.TrimRight(l.lines[l.at], " ")
		if line != "" && !strings.HasPrefix(line, " ") {
			break
		}
		lines = append(lines, line)
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	indent := -1
	for _, line := range lines {
		if n := len(line) - len(strings.TrimLeft(line, " ")); line != "" && (indent < 0 || n < indent) {
			indent = n
		}
	}
	for i, line := range lines {
		if line != "" {
			lines[i] = line[indent:]
		}
	}
	return lines, first
}
