package up

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxInputBytes bounds each of the files that give values to a template.
const maxInputBytes = 1 << 20

// Overrides reads template parameters in SAM's forms: K=V, several of them in one
// text, values in quotes, ParameterKey=K,ParameterValue=V, and file://PATH with a
// map, or a list of these forms, in YAML or JSON. Paths begin at dir. read lists
// the files that were read.
func Overrides(given []string, dir string) (values map[string]string, read []string, err error) {
	values = map[string]string{}
	for _, text := range given {
		if path, ok := strings.CutPrefix(strings.TrimSpace(text), "file://"); ok {
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			read = append(read, path)
			if err := overridesFile(path, values); err != nil {
				return nil, nil, err
			}
			continue
		}
		if err := splitOverrides(text, values); err != nil {
			return nil, nil, err
		}
	}
	return values, read, nil
}

// splitOverrides reads one text. When a word of it has no = the text is one
// parameter, whose value holds spaces.
func splitOverrides(text string, values map[string]string) error {
	words, err := splitWords(text)
	if err != nil {
		return fmt.Errorf("parameter overrides %q: %w", text, err)
	}
	for i, word := range words {
		if !strings.Contains(word, "=") && i > 0 {
			words = []string{strings.TrimSpace(text)}
			break
		}
	}
	for _, word := range words {
		key, value, ok := strings.Cut(strings.Replace(strings.TrimPrefix(word, "ParameterKey="), ",ParameterValue=", "=", 1), "=")
		if !ok || key == "" {
			return fmt.Errorf("parameter overrides are K=V, not %q", word)
		}
		values[key] = value
	}
	return nil
}

// splitWords splits at spaces outside quotes, as a shell does, and removes the
// quotes; a backslash keeps a quote or a backslash inside double quotes.
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, inWord := byte(0), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '"' && c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			word.WriteByte(text[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		// Only a value as a whole is quoted: an apostrophe inside one is a letter.
		case (c == '"' || c == '\'') && (!inWord || text[i-1] == '='):
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// overridesFile reads a file of parameters.
func overridesFile(path string, values map[string]string) error {
	data, err := readInput(path)
	if err != nil {
		return fmt.Errorf("parameter overrides: %w", err)
	}
	var content any
	if err := yaml.Unmarshal(data, &content); err != nil {
		return fmt.Errorf("parameter overrides: %s: %w", path, err)
	}
	if err := addOverrides(content, values); err != nil {
		return fmt.Errorf("parameter overrides: %s: %w", path, err)
	}
	return nil
}

// addOverrides reads the forms that a file may have.
func addOverrides(content any, values map[string]string) error {
	switch content := content.(type) {
	case string:
		return splitOverrides(content, values)
	case map[string]any:
		for key, v := range content {
			s, err := plainText(v)
			if err != nil {
				return fmt.Errorf("the value of %s %w", key, err)
			}
			values[key] = s
		}
		return nil
	case []any:
		for _, item := range content {
			if m, ok := item.(map[string]any); ok && m["ParameterKey"] != nil {
				key, _ := m["ParameterKey"].(string)
				s, err := plainText(m["ParameterValue"])
				if err != nil {
					return fmt.Errorf("the value of %s %w", key, err)
				}
				values[key] = s
				continue
			}
			if err := addOverrides(item, values); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("parameters are texts K=V, a list of them or a map")
}

// plainText is a value as a parameter or environment variable takes it.
func plainText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case []any:
		var items []string
		for _, x := range v {
			s, err := plainText(x)
			if err != nil {
				return "", err
			}
			items = append(items, s)
		}
		return strings.Join(items, ","), nil
	case map[string]any:
		return "", fmt.Errorf("must be a text or a number, not a map")
	}
	return fmt.Sprint(v), nil
}

// readInput reads a file of at most maxInputBytes.
func readInput(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || info.Size() > maxInputBytes {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxInputBytes)
	}
	return os.ReadFile(path)
}
