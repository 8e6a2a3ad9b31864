package assembly

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// templateSuffix ends the names of templates that the CDK writes.
const templateSuffix = ".template.json"

// Assets are the files and folders that a template's S3 keys stand for, by the
// key's last part, such as 26ca…67b7.zip.
type Assets map[string]string

// AssetsOf reads what lies beside a template that the CDK wrote: NAME.assets.json
// for NAME.template.json. A template without one has no assets; from is the file
// that was read, "" for none.
func AssetsOf(template string) (assets Assets, from string, err error) {
	name, ok := strings.CutSuffix(filepath.Base(template), templateSuffix)
	if !ok {
		return nil, "", nil
	}
	from = filepath.Join(filepath.Dir(template), name+".assets.json")
	var m struct {
		Files map[string]struct {
			Source struct {
				Path      string
				Packaging string
			}
			Destinations map[string]struct{ ObjectKey string }
		}
	}
	if err := read(from, &m); errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", err
	}
	assets = Assets{}
	for _, f := range m.Files {
		if f.Source.Path == "" {
			continue // made by a command at deployment: whoever names it is told that it isn't there
		}
		at := filepath.FromSlash(f.Source.Path)
		if !filepath.IsAbs(at) {
			at = filepath.Join(filepath.Dir(template), at)
		}
		for _, d := range f.Destinations {
			assets[path.Base(d.ObjectKey)] = at
		}
	}
	return assets, from, nil
}

// Lookup returns the folder or file that an S3 key stands for.
func (a Assets) Lookup(key string) (string, bool) {
	at, ok := a[path.Base(key)]
	return at, ok
}

// StackName returns the NAME of NAME.template.json, "" for other files.
func StackName(template string) string {
	name, ok := strings.CutSuffix(filepath.Base(template), templateSuffix)
	if !ok {
		return ""
	}
	return name
}
