package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// byID puts scripts in the order of their ids.
func byID(all []*script) []*script {
	return slices.SortedFunc(slices.Values(all), func(a, b *script) int { return cmp.Compare(a.id, b.id) })
}

// indexText is index.txt: a line a behaviour.
func indexText(all []*script) string {
	var b strings.Builder
	b.WriteString("# Made of the scripts' headers by `go test ./conformance -update`.\n")
	b.WriteString("# id | status | confidence | behaviour | source\n")
	for _, s := range byID(all) {
		fmt.Fprintf(&b, "%s | %s | %s | %s | %s\n", s.id, s.standing(), s.confidence, s.title, s.source)
	}
	return b.String()
}

// standing is the status as its header says it.
func (s *script) standing() string {
	if s.why != "" {
		return s.status + ": " + s.why
	}
	return s.status
}

// compatText is docs/compat.md: what AWS does and whether Tidegate does it.
func compatText(all []*script) string {
	count := map[string]int{}
	for _, s := range all {
		count[s.status]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Compatibility

What Amazon API Gateway's WebSocket APIs do, behaviour by behaviour, and whether
Tidegate does it. Each line is a script in [conformance/](../conformance/README.md)
that is run against Tidegate and can be run against AWS. This page is made from
their headers (%sgo test ./conformance -update%s).

%d behaviours: %d supported, %d open (what AWS does isn't known for sure; shown is
what Tidegate does), %d missing.

Confidence says how we know: *doc* from AWS's documentation, *observed* on AWS,
*guess* from neither.
`, "`", "`", len(all), count["supported"], count["open"], count["missing"])
	topic := ""
	for _, s := range byID(all) {
		if s.topic() != topic {
			topic = s.topic()
			_, name, _ := strings.Cut(topic, "-")
			name = strings.ReplaceAll(name, "-", " ")
			fmt.Fprintf(&b, "\n## %s\n\n| id | behaviour | status | known from |\n| --- | --- | --- | --- |\n", strings.ToUpper(name[:1])+name[1:])
		}
		source := s.source
		if strings.HasPrefix(source, "https://") && !strings.Contains(source, " ") {
			source = "[" + s.confidence + "](" + source + ")"
		} else {
			source = s.confidence + ": " + source
		}
		fmt.Fprintf(&b, "| [%s](../conformance/%s) | %s | %s | %s |\n", s.id, s.file, cell(s.title), cell(s.standing()), cell(source))
	}
	return b.String()
}

// cell keeps a text inside its cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s)
}
