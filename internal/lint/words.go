package lint

import (
	"bytes"
	"io/fs"
	"path"
	"regexp"
)

// maxText is the size in bytes up to which CheckWords reads a file.
const maxText = 4 << 20

// A Word is text that no file of the project may hold.
type Word struct {
	Pattern *regexp.Regexp
	Advice  string
}

// CheckWords finds forbidden words in every text file of the tree, tests and
// documents included. Folders that begin with '.' (but .ci) and node_modules
// are left out, and so are binary files.
func CheckWords(fsys fs.FS, words []Word) ([]Finding, error) {
	var found []Finding
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (base == "node_modules" || base[0] == '.' && base != ".ci") {
				return fs.SkipDir
			}
			return nil
		}
		if base == ".git" { // the file that a second work tree has in the folder's place
			return nil
		}
		if info, err := d.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > maxText {
			return err
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return nil
		}
		for _, w := range words {
			for _, at := range w.Pattern.FindAllIndex(text, -1) {
				line := 1 + bytes.Count(text[:at[0]], []byte("\n"))
				if text[at[0]] == '\n' {
					line++
				}
				found = append(found, Finding{File: name, Line: line, Message: string(bytes.TrimSpace(text[at[0]:at[1]])) + ": " + w.Advice})
			}
		}
		return nil
	})
	return found, err
}
