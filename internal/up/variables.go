package up

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/joho/godotenv"

	"tidegate/internal/stack"
)

// readVariables reads a file of environment variables in SAM's format: a map from
// functions, or Parameters for all of them, to variables and their values.
func readVariables(path string) (map[string]map[string]string, error) {
	data, err := readInput(path)
	if err != nil {
		return nil, fmt.Errorf("environment variables: %w", err)
	}
	wrong := func(line, column int, text string) error {
		return stack.Diagnostics{{Position: stack.Position{File: path, Line: line, Column: column}, Message: text, Hint: `the form is {"FUNCTION": {"NAME": "value"}}, or {"Parameters": {…}} for all functions`}}
	}
	var sections map[string]map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&sections); err != nil {
		at := d.InputOffset()
		var syntax *json.SyntaxError
		var shape *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			at = syntax.Offset
		case errors.As(err, &shape):
			at = shape.Offset
		}
		line, column := placeOf(data, at)
		return nil, wrong(line, column, "not the JSON of environment variables: "+err.Error())
	}
	out := map[string]map[string]string{}
	for section, variables := range sections {
		out[section] = map[string]string{}
		for name, v := range variables {
			switch v.(type) {
			case nil, map[string]any, []any:
				return nil, wrong(1, 1, fmt.Sprintf("the value of %s.%s must be a text, a number or a boolean", section, name))
			}
			out[section][name] = fmt.Sprint(v)
		}
	}
	return out, nil
}

// placeOf is the line and column, from 1, of the byte before offset.
func placeOf(data []byte, offset int64) (line, column int) {
	before := data[:max(0, min(int(offset)-1, len(data)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// readDotEnv reads a file of lines NAME=value; no file is no values. Its errors
// name no value.
func readDotEnv(path string) (values map[string]string, there bool, err error) {
	data, err := readInput(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	if values, err = godotenv.UnmarshalBytes(data); err != nil {
		return nil, true, fmt.Errorf("%s is not of the form NAME=value, one a line", path) // the parser's error quotes the line
	}
	return values, true, nil
}
