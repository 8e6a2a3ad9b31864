package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tidegate/internal/client"
)

// A terraform is a folder with a configuration of Terraform's.
type terraform struct {
	t   *testing.T
	dir string
	env []string
}

// needTerraform skips the test when there is no Terraform, or no copy of its AWS
// provider on this machine: TIDEGATE_TERRAFORM_MIRROR may name a folder laid out
// as a filesystem mirror; those that Terraform looks into by itself, and folders
// in /opt, are tried too. It returns the mirror.
func needTerraform(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not installed; with it TIDEGATE_TERRAFORM_MIRROR may name a mirror of its AWS provider")
	}
	folders := []string{"/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*"}
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".terraform.d", "plugins"), filepath.Join(home, ".local", "share", "terraform", "plugins"))
	}
	if named := os.Getenv("TIDEGATE_TERRAFORM_MIRROR"); named != "" {
		folders = []string{named}
	}
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, "registry.terraform.io", "hashicorp", "aws", "*", "*", "terraform-provider-aws*"))
		if len(found) > 0 {
			return filepath.Join(found[0], "..", "..", "..", "..", "..", "..")
		}
	}
	t.Skip("no mirror with Terraform's AWS provider on this machine; TIDEGATE_TERRAFORM_MIRROR may name one")
	return ""
}

// newTerraform is a folder whose provider talks to the stack.
func newTerraform(t *testing.T, s *stackUnderTest, mirror, dir string) *terraform {
	t.Helper()
	tf := &terraform{t: t, dir: dir}
	settings := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror), 0o600); err != nil {
		t.Fatal(err)
	}
	tf.env = append(cleanEnv(), "TF_CLI_CONFIG_FILE="+settings, "TF_VAR_endpoint="+s.run.Endpoint, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	return tf
}

// write puts a file of testdata/terraform into the folder as main.tf or, for the
// provider, under its own name.
func (tf *terraform) write(name, as string) {
	tf.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "terraform", name))
	if err == nil {
		err = os.WriteFile(filepath.Join(tf.dir, as), text, 0o600)
	}
	if err != nil {
		tf.t.Fatal(err)
	}
}

// run runs a command of Terraform's, wants the exit code, and returns what it
// printed.
func (tf *terraform) run(code int, args ...string) string {
	tf.t.Helper()
	ctx, cancel := context.WithTimeout(tf.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "terraform", append(args, "-no-color")...)
	cmd.Dir, cmd.Env = tf.dir, tf.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
		tf.t.Fatalf("terraform %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out.String())
	}
	return out.String()
}

// Terraform creates every resource of a WebSocket API, finds what it reads back
// to be what it wrote, changes each in place, and takes all away.
func TestTerraform(t *testing.T) {
	mirror := needTerraform(t)
	s := start(t, folder(t, map[string]string{"template.yaml": "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"}))
	tf := newTerraform(t, s, mirror, t.TempDir())
	tf.write("provider.tf", "provider.tf")
	tf.write("full.tf", "main.tf")
	tf.run(0, "init")
	if out := tf.run(0, "apply", "-auto-approve"); !strings.Contains(out, "18 added, 0 changed, 0 destroyed") {
		t.Errorf("the first apply:\n%s", out)
	}
	tf.run(0, "plan", "-detailed-exitcode") // 2 would be a drift

	tf.write("changed.tf", "main.tf")
	// Only the deployment is another one.
	if out := tf.run(0, "apply", "-auto-approve"); !strings.Contains(out, "1 added, 16 changed, 1 destroyed") {
		t.Errorf("the second apply:\n%s", out)
	}
	tf.run(0, "plan", "-detailed-exitcode")

	if out := tf.run(0, "destroy", "-auto-approve"); !strings.Contains(out, "18 destroyed") {
		t.Errorf("destroy:\n%s", out)
	}
	for path, want := range map[string]string{"/v2/apis": `{"items":[]}`, "/v2/vpclinks": `{"items":[]}`} {
		if _, body := get(t, s.run.Endpoint+path, nil); body != want {
			t.Errorf("%s after all was destroyed: %s", path, body)
		}
	}
}

// The example is made whole by Terraform: table, role, function, API. A client is
// answered, nothing drifts, and all of it goes again.
func TestTerraformExample(t *testing.T) {
	mirror := needTerraform(t)
	need(t, "node")
	dir := example(t, "terraform")
	code, err := os.ReadFile(filepath.Join(dir, "src", "index.mjs"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "function.zip"), zipped(t, map[string]string{"index.mjs": string(code)}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	tf := newTerraform(t, s, mirror, dir)
	tf.run(0, "init")
	tf.run(0, "apply", "-auto-approve")
	ws := s.dialURL("ws"+strings.TrimPrefix(s.run.Endpoint, "http")+"/dev", client.DialOptions{})
	ws.say(`{"action":"count"}`)
	ws.want("1 connected")
	tf.run(0, "plan", "-detailed-exitcode")
	tf.run(0, "destroy", "-auto-approve")
	for _, path := range []string{"/v2/apis", "/2015-03-31/functions/"} {
		if _, body := get(t, s.run.Endpoint+path, nil); strings.Contains(body, "presence") {
			t.Errorf("%s after all was destroyed: %s", path, body)
		}
	}
}
