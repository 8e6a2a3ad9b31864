package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"tidegate/internal/config"
	"tidegate/internal/serve"
	"tidegate/internal/stack"
	"tidegate/internal/up"
)

func validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate [TEMPLATE or DIR or CONFIGURATION]",
		Short: "Check a template or a configuration without running anything",
		Long:  "Check a template, or a configuration of tidegate serve, without running or\ndownloading anything. Exits 2 when it can't run, and says why, each with file and line.",
		Example: `  tidegate validate
  tidegate validate tidegate.yaml
  tidegate validate path/to/template.yaml --parameter-overrides Stage=dev`,
		Args: func(*cobra.Command, []string) error { return nil }, // checked below: K=V may follow a flag
	}
	var template string
	var o up.Options
	inputFlags(cmd.Flags(), &o)
	cmd.Flags().StringVarP(&template, "template", "t", "", "the template's `PATH`, or that of the folder that holds it")
	overrides := cmd.Flags().StringArray("parameter-overrides", nil, "template parameters, `K=V` … (further K=V may follow)")
	stage := cmd.Flags().String("stage", "", stageUsage)
	stackName := cmd.Flags().String("stack-name", "", stackNameUsage)
	strict := cmd.Flags().Bool("strict", false, "make an error of each resource that would only be a placeholder")
	asJSON := cmd.Flags().Bool("json", false, "print JSON (the default when piped)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Template, o.Stage, o.DefaultRegion, o.StackName, o.Strict = template, *stage, region(), *stackName, *strict
		given, err := templateArguments(cmd, &o.Template, args, *overrides)
		if err != nil {
			return err
		}
		o.Overrides = given
		if o.Template != "" && config.Is(o.Template) {
			return validateConfig(cmd.Context(), o.Template, *asJSON || !isTerminal(os.Stdout))
		}
		s, err := up.Load(o)
		if errors.Is(err, up.ErrNoTemplate) {
			file := filepath.Join(o.Template, config.Files[0])
			if _, missing := os.Stat(file); missing == nil {
				return validateConfig(cmd.Context(), file, *asJSON || !isTerminal(os.Stdout))
			}
		}
		if err == nil {
			err = up.Check(cmd.Context(), s)
		}
		var bad stack.Diagnostics
		if err != nil && !errors.As(err, &bad) {
			return invalidTemplate(err)
		}
		if *asJSON || !isTerminal(os.Stdout) {
			return validateJSON(s, bad)
		}
		if len(bad) > 0 {
			return &exitError{exitUsage, bad}
		}
		for _, line := range stack.NoteLines(s.Notes) {
			fmt.Println("note:", line)
		}
		fmt.Printf("%s is valid.\n", s.Path)
		return nil
	}
	return cmd
}

// validateConfig checks a configuration of serve, with this environment.
func validateConfig(ctx context.Context, file string, asJSON bool) error {
	remarks, err := serve.Check(ctx, file, os.Environ())
	if err != nil && !invalidConfig(err) {
		return err
	}
	if !asJSON {
		if err != nil {
			return &exitError{exitUsage, err}
		}
		for _, r := range remarks {
			fmt.Println("note:", r)
		}
		fmt.Printf("%s is valid.\n", file)
		return nil
	}
	out := struct {
		Valid  bool     `json:"valid"`
		Config string   `json:"config"`
		Errors []string `json:"errors"`
		Notes  []string `json:"notes"`
	}{Valid: err == nil, Config: file, Errors: []string{}, Notes: append([]string{}, remarks...)}
	if err != nil {
		out.Errors = strings.Split(err.Error(), "\n")
	}
	if err := printJSON(os.Stdout, out); err != nil {
		return err
	}
	if err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

// invalidConfig says that a configuration is to blame.
func invalidConfig(err error) bool {
	return errors.As(err, new(config.Mistakes)) || errors.As(err, new(*serve.Invalid))
}

// A finding is one error or note about a template.
type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Resource string `json:"resource,omitempty"`
	Property string `json:"property,omitempty"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

func validateJSON(s *stack.Stack, bad stack.Diagnostics) error {
	out := struct {
		Valid bool `json:"valid"`
		// Template is the file that was checked, when it is valid.
		Template string    `json:"template,omitempty"`
		Errors   []finding `json:"errors"`
		Notes    []finding `json:"notes"`
	}{Valid: len(bad) == 0, Errors: []finding{}, Notes: []finding{}}
	for _, d := range bad {
		out.Errors = append(out.Errors, finding{d.File, d.Line, d.Column, d.Resource, d.Property, d.Message, d.Hint})
	}
	if s != nil {
		out.Template = s.Path
		for _, n := range s.Notes {
			out.Notes = append(out.Notes, finding{n.File, n.Line, n.Column, n.Resource, n.Property, n.Message, ""})
		}
	}
	if err := printJSON(os.Stdout, out); err != nil {
		return err
	}
	if len(bad) > 0 {
		return &exitError{exitUsage, bad}
	}
	return nil
}
