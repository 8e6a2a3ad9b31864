package functions

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxSourceFiles bounds how many files are looked at before an environment is
// used again. Folders are searched from the top, so what is left out in a
// bigger tree lies deepest.
const maxSourceFiles = 1000

// A sourceFile is a file that a process may have been loaded from, and how it
// was then.
type sourceFile struct {
	path     string
	size     int64
	modified int64 // ns since 1970, 0 when it wasn't there
}

// sourceEndings are the files that are loaded once and kept by a process. Other
// files are read anew by whoever reads them.
var sourceEndings = map[string]bool{
	".js": true, ".mjs": true, ".cjs": true, ".json": true, ".node": true, ".wasm": true,
	".py": true, ".so": true,
}

// sourceFiles lists what the function's process is loaded from. A custom
// runtime may load files of any name.
func (fn *function) sourceFiles() []sourceFile {
	return listFiles(fn.codeDir, !fn.language().wraps())
}

// sourceFiles lists the source files of a folder.
func sourceFiles(root string) []sourceFile { return listFiles(root, false) }

// listFiles lists the source files of a folder, or every file.
func listFiles(root string, every bool) []sourceFile {
	if every {
		return filesOf(root, nil)
	}
	return filesOf(root, sourceEndings)
}

// filesOf lists the files in a folder that have one of the endings, or every file
// when there are none, without installed packages (node_modules, and what pip
// has put beside its records), folders whose name begins with a dot, __pycache__
// and virtual environments; an installation shows in its lock file or its records.
func filesOf(root string, endings map[string]bool) []sourceFile {
	files := []sourceFile{stamp(filepath.Join(root, "node_modules", ".package-lock.json"))}
	folders := []string{root}
	for len(folders) > 0 && len(files) < maxSourceFiles {
		dir := folders[0]
		folders = folders[1:]
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		installed, records := pipInstalled(dir, entries)
		files = append(files, records...)
		for _, entry := range entries {
			name := entry.Name()
			if strings.HasPrefix(name, ".") || name == "node_modules" || name == "__pycache__" {
				continue
			}
			if entry.IsDir() {
				folder := filepath.Join(dir, name)
				if len(folders) < maxSourceFiles && !installed[name] && !virtualEnvironment(folder) {
					folders = append(folders, folder)
				}
				continue
			}
			if (endings == nil || endings[filepath.Ext(name)]) && len(files) < maxSourceFiles {
				files = append(files, stamp(filepath.Join(dir, name)))
			}
		}
	}
	return files
}

func stamp(path string) sourceFile {
	f := sourceFile{path: path}
	f.size, f.modified = statFile(path)
	return f
}

// A look at many files would cost more than a short invocation: one is good for
// lookFor a file, lookLongest at most. Nobody saves and calls faster. So few as
// lookAlways are looked at before each reuse.
const (
	lookFor     = 50 * time.Microsecond
	lookLongest = 100 * time.Millisecond
	lookAlways  = 50
)

// looksFresh is fresh, or what it said a moment ago. The caller has the
// environment for itself.
func (e *environment) looksFresh() bool {
	if len(e.files) > lookAlways {
		now := time.Now()
		if now.Sub(e.looked) < min(time.Duration(len(e.files))*lookFor, lookLongest) {
			return true
		}
		e.looked = now
	}
	return e.fresh()
}

// fresh says whether the process still runs the code that lies in its folder.
// An archive's code never changes.
func (e *environment) fresh() bool { return fresh(e.files) }

// fresh says whether the files are as they were.
func fresh(files []sourceFile) bool {
	for i := range files {
		f := &files[i]
		if size, modified := statFile(f.path); size != f.size || modified != f.modified {
			return false
		}
	}
	return true
}
