package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tidegate/internal/stack"
	"tidegate/internal/up"
)

func validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate [TEMPLATE or DIR]",
		Short: "Check a template without running anything",
		Long:  "Check a template without running or downloading anything.\nExits 2 when it can't run, and says why, each with file and line.",
		Example: `  tidegate validate
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
		s, err := up.Load(o)
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
