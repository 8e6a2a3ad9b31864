package functions

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tidegate/internal/pattern"
)

var targetPattern = pattern.New(`^[A-Za-z0-9]{1,255}$`)

// buildByMakefile runs the target build-LOGICALID of the folder's Makefile, as
// sam build does: in a copy of the folder, with ARTIFACTS_DIR as the place for
// what is to run.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html
func (s *Service) buildByMakefile(ctx context.Context, fn *function, b *builder) *artifacts {
	out := &artifacts{files: withFolders(everyFile(fn.codeDir))}
	fail := func(format string, args ...any) *artifacts {
		out.err = &startFailure{kind: errorBuild, message: fmt.Sprintf(format, args...)}
		return out
	}
	program, err := exec.LookPath("make")
	if err != nil {
		return fail("its BuildMethod is makefile, and there is no make on PATH: install make, or run sam build")
	}
	if !isFile(filepath.Join(fn.codeDir, "Makefile")) && !isFile(filepath.Join(fn.codeDir, "makefile")) {
		return fail("its BuildMethod is makefile, and there is no Makefile in %s", shownPath(fn.codeDir))
	}
	made, err := b.room()
	if err != nil {
		return fail("%v", err)
	}
	scratch := filepath.Join(b.dir, "source")
	if err := os.RemoveAll(scratch); err != nil {
		return fail("clearing %s: %v", scratch, err)
	}
	if err := copyFolder(fn.codeDir, scratch); err != nil {
		return fail("copying %s: %v", shownPath(fn.codeDir), err)
	}
	target := "build-" + fn.Code.Build.LogicalId
	began := time.Now()
	s.cfg.Events.progress(Progress{Function: fn.Name, Text: "building it: make " + target})
	cmd := exec.Command(program, target)
	cmd.Dir = scratch
	cmd.Env = []string{"ARTIFACTS_DIR=" + made}
	said, err := s.runTool(ctx, cmd, toolLimit)
	os.RemoveAll(scratch)
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said), "\n")
		return fail("make %s: %v\n%s", target, err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
	out.dir, out.usable = made, true
	s.cfg.Events.progress(Progress{Function: fn.Name, Text: fmt.Sprintf("built it: make %s, %.1f s", target, time.Since(began).Seconds())})
	return out
}

// copyFolder copies a folder of source code, but for its history and what other
// tools have built, within Lambda's bounds on code.
func copyFolder(from, to string) error {
	left, count := int64(maxUnzipped), 0
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		switch entry.Name() {
		case ".git", ".aws-sam", ".tidegate":
			if entry.IsDir() {
				return fs.SkipDir
			}
		}
		if count++; count > maxEntries {
			return fmt.Errorf("it has more than %d files", maxEntries)
		}
		dest := filepath.Join(to, rel)
		switch {
		case entry.IsDir():
			return os.MkdirAll(dest, 0o700)
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(name), target)
			}
			return os.Symlink(target, dest)
		case !entry.Type().IsRegular():
			return nil
		}
		n, err := copySource(name, dest, left)
		left -= n
		return err
	})
}

// copySource copies a file with its permissions; more than left bytes are an
// error.
func copySource(from, to string, left int64) (int64, error) {
	r, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > left {
		return 0, fmt.Errorf("it has more than %d bytes", maxUnzipped)
	}
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(w, io.LimitReader(r, left))
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return n, err
}
