package stack

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	// folderBucket is the bucket name that says that S3Key is the absolute path
	// of a folder, which Tidegate's functions read in place.
	folderBucket = "tidegate-folder"
	// maxZipBytes bounds a zip file of code, as Lambda does for a direct upload.
	maxZipBytes = 50 << 20
	// maxInlineBytes bounds inline code, as CloudFormation does.
	maxInlineBytes = 4 << 20
)

// A codeSource is where a function's code is: one of the three is set.
type codeSource struct {
	folder string // absolute
	file   string // a zip file, absolute
	inline *value // the source text, which may need other resources
	build  *build // of the folder's code; nil is as the folder shows
}

// readCode finds a function's code and checks that its handler is there; nil
// after a problem.
func (s *Stack) readCode(res *resource, r *reporter) *codeSource {
	code := res.properties.get("Code")
	if code == nil || code.kind == unknown { // reported before
		return nil
	}
	at := res.codePlace()
	switch {
	case code.kind == text:
		return s.localCode(res, code.text, at, r)
	case code.kind != object:
		r.errorf(at, "must be a map with ZipFile or the path of a folder, not %s", kindOf(code))
		return nil
	case code.get("ZipFile") != nil:
		return inlineCode(res, code.get("ZipFile"), at, r)
	case code.get("ImageUri") != nil:
		r.errorf(at.in("ImageUri"), "container images are not built yet")
		return nil
	}
	for _, m := range code.members {
		if m.name != "S3Bucket" && m.name != "S3Key" && m.name != "S3ObjectVersion" {
			here := at.in(m.name)
			here.line, here.column = m.line, m.column
			r.report(here, didYouMean(m.name, []string{"ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion"}), "there is no property %q", clip(m.name))
			return nil
		}
	}
	return s.bucketCode(res, code, at, r)
}

// codePlace is where the template says where the code is: SAM's property when
// the function is SAM's.
func (res *resource) codePlace() place {
	code := res.properties.get("Code")
	name := "Code"
	if res.source != "" {
		name = "CodeUri"
		if code.get("ZipFile") != nil {
			name = "InlineCode"
		}
	}
	return res.place().in("Properties").in(name).at(code)
}

// bucketCode finds code that is said to be in S3: Tidegate's own folder form,
// or a package that lies beside the template under the key's name, as the
// Serverless Framework leaves it.
func (s *Stack) bucketCode(res *resource, code *value, at place, r *reporter) *codeSource {
	bucket, _ := code.get("S3Bucket").scalar()
	key, ok := code.get("S3Key").scalar()
	if !ok || key == "" {
		r.errorf(at, "needs ZipFile, or S3Bucket and S3Key, or the path of a folder")
		return nil
	}
	if bucket == folderBucket {
		if !filepath.IsAbs(key) {
			r.errorf(at.in("S3Key").at(code.get("S3Key")), "must be an absolute path with the bucket %s", folderBucket)
			return nil
		}
		return s.localCode(res, key, at, r)
	}
	if file, ok := s.assets.Lookup(key); ok {
		return s.localCode(res, file, at, r)
	}
	if file, ok := res.metadata.get("aws:asset:path").scalar(); ok && file != "" { // as the CDK leaves it for other tools
		return s.localCode(res, file, at, r)
	}
	if base := path.Base(key); strings.HasSuffix(base, ".zip") {
		beside := filepath.Join(filepath.Dir(s.Path), base)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return s.localCode(res, beside, at, r)
		}
	}
	r.report(at, "give the path of a folder or zip file instead",
		"Tidegate has no S3 to read s3://%s/%s from, and there is no %s beside the template", clip(bucket), clip(key), clip(path.Base(key)))
	return nil
}

// inlineCode checks code that stands in the template.
func inlineCode(res *resource, source *value, at place, r *reporter) *codeSource {
	if len(source.text) > maxInlineBytes {
		r.errorf(at, "inline code has %d bytes; at most %d are allowed", len(source.text), maxInlineBytes)
	}
	if source.kind == list || source.kind == null {
		r.errorf(at, "inline code must be a text, not %s", kindOf(source))
		return nil
	}
	runtime, _ := res.properties.get("Runtime").scalar()
	l := languageOf(runtime)
	if l != nil && l.inline == "" {
		r.errorf(at, "runtime %s runs a program, which can't stand in the template: give the path of its folder", runtime)
		return nil
	}
	if handler, ok := res.properties.get("Handler").scalar(); ok && l != nil && !strings.HasPrefix(handler, "index.") {
		r.notef(res.propertyPlace("Handler"), "inline code lies in a file %s, where the handler %q isn't found: as on AWS, each call fails until other code is uploaded", l.inline, clip(handler))
	}
	return &codeSource{inline: source}
}

// localCode checks a folder or zip file; relative paths start at the template.
func (s *Stack) localCode(res *resource, where string, at place, r *reporter) *codeSource {
	full := filepath.FromSlash(where)
	if !filepath.IsAbs(full) {
		full = filepath.Join(filepath.Dir(s.Path), full)
	}
	full = filepath.Clean(full)
	info, err := os.Stat(full)
	switch {
	case err != nil:
		r.report(at, didYouMean(filepath.Base(full), entries(filepath.Dir(full))), "there is no folder or zip file %s", shown(s, full))
		return nil
	case info.IsDir():
		name := "the folder " + shown(s, full)
		if full == filepath.Dir(s.Path) {
			name = "the template's folder"
		}
		b := s.readBuild(res, r)
		if s.makesHandler(res, full, b, r) {
			return &codeSource{folder: full, build: b}
		}
		s.checkHandler(res, r, name, func(name string) bool { return isRegular(filepath.Join(full, filepath.FromSlash(name))) }, func(dir string) []string { return entries(filepath.Join(full, filepath.FromSlash(dir))) })
		return &codeSource{folder: full, build: b}
	case !strings.HasSuffix(full, ".zip"):
		r.errorf(at, "%s is neither a folder nor a zip file", shown(s, full))
		return nil
	case info.Size() > maxZipBytes:
		r.errorf(at, "%s has %d bytes; at most %d are allowed", shown(s, full), info.Size(), maxZipBytes)
		return nil
	}
	z, err := zip.OpenReader(full)
	if err != nil {
		r.errorf(at, "%s can't be read as a zip file: %v", shown(s, full), err)
		return nil
	}
	defer z.Close()
	names := map[string]bool{}
	for _, f := range z.File {
		names[f.Name] = true
	}
	s.checkHandler(res, r, "the zip file "+shown(s, full), func(name string) bool { return names[name] }, func(string) []string { return nil })
	return &codeSource{file: full}
}

// checkHandler reports a handler whose file isn't there. exists tells whether a
// slash-separated path is a file of the code, list what lies in a folder of it.
func (s *Stack) checkHandler(res *resource, r *reporter, where string, exists func(string) bool, list func(string) []string) {
	handler, ok := res.properties.get("Handler").scalar()
	runtime, known := res.properties.get("Runtime").scalar()
	if !ok {
		return
	}
	l := languageOf(runtime)
	if !known {
		l = languages[0]
	}
	if l == nil {
		return // the runtime was reported, and other languages name handlers otherwise
	}
	at := res.propertyPlace("Handler")
	module, ok := l.module(handler)
	if !ok {
		r.errorf(at, "handler %q must be %s", clip(handler), l.form)
		return
	}
	if strings.HasPrefix(module, "..") || path.IsAbs(module) {
		r.errorf(at, "handler %q leads out of %s", clip(handler), where)
		return
	}
	var tried []string
	for _, file := range l.files {
		if exists(module + file) {
			return
		}
		tried = append(tried, module+file)
	}
	for _, ending := range l.notBuilt {
		if exists(module + ending) {
			r.report(at, l.hint, "the handler's file %s is %s, which isn't built here", module+ending, l.notBuiltAs)
			return
		}
	}
	if l.program {
		reportProgram(res, r, at, where, module, exists)
		return
	}
	dir, file := path.Split(module)
	hint := didYouMean(file+l.files[0], list(dir))
	if hint == "" {
		hint = "tried " + strings.Join(tried, ", ")
	}
	r.report(at, hint, "handler %q has no file in %s", clip(handler), where)
}

// reportProgram reports a program that isn't in the code. A bootstrap may also be
// in a layer.
func reportProgram(res *resource, r *reporter, at place, where, program string, exists func(string) bool) {
	if layers := res.properties.get("Layers"); layers != nil && program == "bootstrap" {
		return
	}
	hint := "a " + program + " is a program or script that can be executed"
	if exists("go.mod") || exists("main.go") {
		hint = "build it there: CGO_ENABLED=0 go build -o " + program
	}
	r.report(at, hint, "there is no program %s in %s", clip(program), where)
}

// shown is a path as a person would write it beside the template.
func shown(s *Stack, full string) string {
	if rel, err := filepath.Rel(filepath.Dir(s.Path), full); err == nil && !strings.HasPrefix(rel, "..") {
		return clip(filepath.ToSlash(rel))
	}
	return clip(full)
}

func isRegular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// entries are the names in a folder, at most 1000.
func entries(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(1000)
	return names
}

// zipOf returns a zip file that holds one file. It is the same for the same
// content, so that unchanged inline code isn't uploaded again.
func zipOf(name, content string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o644)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil { // unreachable: a bytes.Buffer takes everything
		return nil
	}
	return b.Bytes()
}
