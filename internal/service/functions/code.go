package functions

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tidegate/internal/awshttp"
)

// Quotas of Lambda's on code:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	maxZip      = 50 << 20  // bytes of an archive that is sent directly
	maxUnzipped = 250 << 20 // bytes of what is in it
	maxEntries  = 50_000    // ours
)

// folderBucket is the bucket whose keys are folders of this machine.
const folderBucket = "tidegate-folder"

// take checks what Code holds and puts the files where processes find them: into
// a folder of their own below parent, which is relative to Config.Dir.
func (s *Service) take(parent string, in codeInput) (code, error) {
	switch {
	case in.TidegateBuild != nil && in.S3Bucket != folderBucket:
		return code{}, invalidParameter("TidegateBuild goes with S3Bucket " + folderBucket + " only.")
	case in.ImageUri != "":
		return code{}, invalidParameter("ImageUri: Tidegate doesn't run container images. Give ZipFile, or a folder.")
	case in.S3ObjectVersion != "" || in.SourceKMSKeyArn != "":
		return code{}, invalidParameter("S3ObjectVersion and SourceKMSKeyArn: Tidegate has no S3. Give ZipFile, or a folder.")
	case in.S3Bucket == folderBucket && s.cfg.Folders:
		if len(in.ZipFile) > 0 {
			return code{}, invalidParameter("Please do not provide other FunctionCode parameters when providing a ZipFile.")
		}
		if err := checkBuild(in.TidegateBuild); err != nil {
			return code{}, err
		}
		c, err := takeFolder(in.S3Key)
		c.Build = in.TidegateBuild
		return c, err
	case in.S3Bucket == folderBucket:
		return code{}, invalidParameter("S3Bucket " + folderBucket + ": code from a folder is taken in development only. Give ZipFile.")
	case in.S3Bucket != "" || in.S3Key != "":
		return code{}, invalidParameter(fmt.Sprintf("S3Bucket %q: Tidegate has no S3. Give ZipFile, or a folder.", in.S3Bucket))
	case len(in.ZipFile) == 0:
		return code{}, invalidParameter("Please provide a source for function code.")
	case len(in.ZipFile) > maxZip:
		return code{}, userError(413, "RequestEntityTooLargeException", fmt.Sprintf("Request must be smaller than %d bytes for the CreateFunction operation", maxZip))
	}
	return s.unpack(parent, in.ZipFile)
}

// takeFolder accepts an absolute path to a folder that exists. Whether the
// handler's file is in it shows at the first invocation, as on AWS.
func takeFolder(path string) (code, error) {
	if !filepath.IsAbs(path) {
		return code{}, invalidParameter(fmt.Sprintf("S3Key %q must be the absolute path of a folder.", path))
	}
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err != nil {
		return code{}, invalidParameter(fmt.Sprintf("S3Key: the folder can't be read: %v", err))
	}
	if !info.IsDir() {
		return code{}, invalidParameter(fmt.Sprintf("S3Key %q is not a folder.", path))
	}
	h := sha256.New()
	var size int64
	for _, f := range sourceFiles(path) {
		size += f.size
		fmt.Fprintf(h, "%s %d %d\n", f.path, f.size, f.modified)
	}
	return code{Folder: path, SHA256: base64.StdEncoding.EncodeToString(h.Sum(nil)), Size: size}, nil
}

// unpack writes the archive's files to a folder of their own.
func (s *Service) unpack(parent string, archive []byte) (code, error) {
	sum := sha256.Sum256(archive)
	// The random part keeps a folder that is being deleted apart from a new one of
	// the same archive.
	c := code{
		SHA256: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(archive)),
		Dir: hex.EncodeToString(sum[:8]) + "-" + awshttp.NewRequestID()[:8],
	}
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return code{}, invalidParameter("Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	if len(z.File) == 0 {
		return code{}, invalidParameter("Uploaded file must be a non-empty zip")
	}
	if len(z.File) > maxEntries {
		return code{}, invalidParameter(fmt.Sprintf("Uploaded file must have at most %d entries", maxEntries))
	}
	dir := filepath.Join(s.cfg.Dir, parent, c.Dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return code{}, err
	}
	if err := unzip(z, dir); err != nil {
		os.RemoveAll(dir)
		var refused *awshttp.Error
		if errors.As(err, &refused) || !errors.Is(err, errArchive) {
			return code{}, err
		}
		return code{}, invalidParameter("Could not unzip uploaded file. Please check your file, then try to upload again. (" + err.Error() + ")")
	}
	return c, nil
}

// errArchive marks failures that are the archive's.
var errArchive = errors.New("bad archive")

func unzip(z *zip.Reader, dir string) error {
	// A root refuses names that lead out of it, through symbolic links too.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(maxUnzipped)
	for _, f := range z.File {
		name := filepath.FromSlash(strings.TrimSuffix(strings.ReplaceAll(f.Name, `\`, "/"), "/"))
		if name == "" || name == "." {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%w: entry %q leads out of the archive", errArchive, f.Name)
		}
		n, err := unzipOne(root, f, name, left)
		if err != nil {
			return err
		}
		if left -= n; left < 0 {
			return invalidParameter(fmt.Sprintf("Unzipped size must be smaller than %d bytes", maxUnzipped))
		}
	}
	return nil
}

// unzipOne writes one entry and returns its size, which is more than left when
// the entry was cut off.
func unzipOne(root *os.Root, f *zip.File, name string, left int64) (int64, error) {
	mode := f.Mode()
	if f.FileInfo().IsDir() {
		return 0, wrapArchive(root.MkdirAll(name, 0o755))
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, wrapArchive(err)
	}
	r, err := f.Open()
	if err != nil {
		return 0, wrapArchive(err)
	}
	defer r.Close()
	if mode&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(io.LimitReader(r, 4096))
		if err != nil {
			return 0, wrapArchive(err)
		}
		return 0, wrapArchive(root.Symlink(string(target), name))
	}
	if !mode.IsRegular() {
		return 0, fmt.Errorf("%w: entry %q is no regular file", errArchive, f.Name)
	}
	perm := os.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	w, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, perm)
	if err != nil {
		return 0, wrapArchive(err)
	}
	n, err := io.Copy(w, io.LimitReader(r, left+1))
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return n, wrapArchive(err)
}

func wrapArchive(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errArchive, err)
}
