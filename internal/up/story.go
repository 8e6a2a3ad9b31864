package up

import (
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"tidegate/internal/observe"
	"tidegate/internal/parity"
	"tidegate/internal/stack"
)

// A story tells what happens, a line each: to a person on a terminal, or as
// JSON to a program. It is safe for concurrent use.
type story struct {
	mu    sync.Mutex
	out   io.Writer
	json  bool
	color bool
	lines []byte // what out gets next; kept for its room
	flood *flood // nil when every line is told
}

// maxLines bounds what is written at once.
const maxLines = 32 << 10

// follow tells every notice until the channel is closed. What waits by then is
// written together: a busy server spends its time on clients, not on lines.
func (s *story) follow(notices <-chan observe.Notice) {
	for {
		n, open := s.next(notices)
		if !open {
			return
		}
		s.mu.Lock()
		s.add(n)
		for more := true; more && len(s.lines) < maxLines; {
			select {
			case n, more = <-notices:
				if more {
					s.add(n)
				}
			default:
				more = false
			}
		}
		s.write()
		s.mu.Unlock()
	}
}

// next waits for the next notice. Meanwhile it tells what a flood left out, when
// its second is over.
func (s *story) next(notices <-chan observe.Notice) (n observe.Notice, open bool) {
	for {
		s.mu.Lock()
		var over <-chan time.Time
		if s.flood != nil && s.flood.left > 0 {
			over = s.flood.over()
		}
		s.mu.Unlock()
		select {
		case n, open = <-notices:
			if !open {
				s.mu.Lock()
				s.subsided(time.Now())
				s.write()
				s.mu.Unlock()
			}
			return n, open
		case now := <-over:
			s.mu.Lock()
			s.subsided(now)
			s.write()
			s.mu.Unlock()
		}
	}
}

// subsided ends a second of a flood: it adds what was left out. The caller holds
// mu.
func (s *story) subsided(now time.Time) {
	if s.flood == nil {
		return
	}
	for _, text := range s.flood.end(now) {
		s.lines = s.appendText(s.lines, observe.Notice{Time: now, Kind: observe.KindNote, Level: slog.LevelInfo, Text: text})
	}
}

// tell writes one notice.
func (s *story) tell(n observe.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(n)
	s.write()
}

// add adds the notice's lines. The caller holds mu.
func (s *story) add(n observe.Notice) {
	if s.json {
		if n.Time.IsZero() { // as what up itself has to say, which text tells without a clock
			n.Time = time.Now()
		}
		s.lines = append(n.AppendJSON(s.lines), '\n')
	} else if n.Level >= slog.LevelInfo { // below that, another line tells it
		if s.flood != nil {
			now := time.Now()
			if now.Sub(s.flood.began) >= floodTime {
				s.subsided(now)
			}
			if !s.flood.admits(&n) {
				return
			}
		}
		s.lines = s.appendText(s.lines, n)
	}
}

// write writes the lines. The caller holds mu.
func (s *story) write() {
	s.out.Write(s.lines)
	s.lines = s.lines[:0]
	if cap(s.lines) > 4*maxLines {
		s.lines = nil // a long trace is no measure for what follows
	}
}

// note is tell for what up itself has to say.
func (s *story) note(level slog.Level, format string, args ...any) {
	s.tell(observe.Notice{Kind: observe.KindNote, Level: level, Text: fmt.Sprintf(format, args...)})
}

// notes tells what is said of a template: to people, what is the same of several
// resources once.
func (s *story) notes(notes []stack.Note) {
	if s.json {
		for _, n := range notes {
			s.note(slog.LevelInfo, "%s", n)
		}
		return
	}
	for _, line := range stack.NoteLines(notes) {
		s.note(slog.LevelInfo, "%s", line)
	}
}

// parity tells, when all ends, what the app relied on that AWS doesn't do or does
// otherwise; nothing when there is nothing.
func (s *story) parity(entries []parity.Entry) {
	switch {
	case len(entries) == 0:
	case s.json:
		s.tell(observe.Notice{Time: time.Now(), Kind: observe.KindParity, Level: slog.LevelInfo, Text: "relied on what AWS doesn't do, or does otherwise",
			Attrs: []slog.Attr{slog.Any("entries", entries)}})
	default:
		lines := []string{"", "This run relied on what AWS doesn't do, or does otherwise:"}
		for _, l := range parity.Lines(entries) {
			lines = append(lines, printable(l))
		}
		s.say(append(lines, "")...)
	}
}

// say writes lines that belong to people only: the list of URLs, the farewell.
func (s *story) say(lines ...string) {
	if s.json {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range lines {
		fmt.Fprintln(s.out, l)
	}
}

// ANSI escape codes, by what a line is about.
const (
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// functionColors tell functions apart: blue, magenta, cyan, and their bright ones.
var functionColors = [...]string{"\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[94m", "\x1b[95m", "\x1b[96m"}

// hash spreads names over colours, the same ones each time.
func hash(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()
}

func (s *story) paint(dst []byte, code, text string) []byte {
	if !s.color || code == "" {
		return append(dst, text...)
	}
	return append(append(append(dst, code...), text...), reset...)
}

func (s *story) appendText(dst []byte, n observe.Notice) []byte {
	if !n.Time.IsZero() {
		var clock [8]byte
		dst = s.paint(dst, dim, string(n.Time.Local().AppendFormat(clock[:0], "15:04:05")))
		dst = append(dst, ' ', ' ')
	}
	code := kindColor(n)
	dst = s.paint(dst, code, n.Kind)
	dst = append(dst, blanks[:2+max(0, 10-len(n.Kind))]...)
	text := printable(n.Text)
	if name := n.Attr("function"); name != "" && s.color {
		whose, _, _ := strings.Cut(text, " ") // a function's lines begin with its name
		dst = s.paint(dst, functionColors[hash(name)%uint32(len(functionColors))], whose)
		text = text[len(whose):]
	}
	if n.Level >= slog.LevelWarn {
		dst = s.paint(dst, code, text)
	} else {
		dst = append(dst, text...)
	}
	dst = append(dst, '\n')
	for _, d := range n.Detail {
		dst = append(dst, blanks...)
		dst = s.paint(dst, dim, printable(d))
		dst = append(dst, '\n')
	}
	return dst
}

// Text is what a person reads of a notice: a line, and those of its detail.
func Text(n observe.Notice, color bool) string {
	s := story{color: color}
	return string(s.appendText(nil, n))
}

// blanks are as wide as time and kind.
const blanks = "                      "

// kindColor colours trouble first, then the kind.
func kindColor(n observe.Notice) string {
	switch {
	case n.Level >= slog.LevelError:
		return red
	case n.Level >= slog.LevelWarn:
		return yellow
	}
	switch n.Kind {
	case observe.KindConnect, observe.KindDisconnect:
		return green
	case observe.KindPush, observe.KindFired, observe.KindMessage:
		return cyan
	case observe.KindOutput, observe.KindInvocation:
		return dim
	}
	return ""
}

// printable keeps what clients and functions sent from steering the terminal:
// control characters but tab are shown as escapes. Colours that a function
// prints are lost with them.
func printable(text string) string {
	safe := func(r rune) bool { return r == '\t' || (r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f)) }
	if strings.IndexFunc(text, func(r rune) bool { return !safe(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if safe(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\x%02x", r)
		}
	}
	return b.String()
}
