package client

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds on what is kept of what was typed.
const (
	maxHistory     = 1000     // lines
	maxHistoryLine = 16 << 10 // bytes; a longer one is not kept
)

// A history is what was typed, in a file that its owner alone may read. It
// implements term.History. A file that can't be read or written is no history:
// nobody's chat fails for it.
type history struct {
	file  string
	lines []string // oldest first
}

func openHistory(file string) *history {
	h := &history{file: file}
	b, err := os.ReadFile(file)
	if err != nil {
		return h
	}
	h.lines = slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool { return l == "" || len(l) > maxHistoryLine })
	if len(h.lines) > maxHistory {
		h.lines = h.lines[len(h.lines)-maxHistory:]
		os.WriteFile(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
	return h
}

// Add keeps a line, unless it is the one before again.
func (h *history) Add(line string) {
	if line == "" || len(line) > maxHistoryLine || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	if h.lines = append(h.lines, line); len(h.lines) > maxHistory {
		h.lines = h.lines[1:]
	}
	os.MkdirAll(filepath.Dir(h.file), 0o700)
	f, err := os.OpenFile(h.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	f.WriteString(line + "\n")
	f.Close()
}

// Len is how many lines there are.
func (h *history) Len() int { return len(h.lines) }

// At returns a line; 0 is the latest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
