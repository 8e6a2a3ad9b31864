package main

import (
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tidegate/internal/apigw"
	"tidegate/internal/edge"
	"tidegate/internal/integration"
	"tidegate/internal/stack"
	"tidegate/internal/up"
)

func upCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up [TEMPLATE or DIR]",
		Short: "Run a SAM, CloudFormation, CDK or Serverless Framework project on this machine",
		Long: `Run a SAM or CloudFormation template, a CDK app's cdk.out or a serverless.yml on
this machine: its WebSocket APIs, functions, tables and scheduled rules. Without
an argument it is the first of template.yaml, template.yml, template.json,
serverless.yml, serverless.yaml, serverless.json and cdk.out in this folder. A
template that is saved is applied; Ctrl-C ends it.`,
		Example: `  tidegate up
  tidegate up path/to/template.yaml --port 9000
  tidegate up examples/chat --iam enforce --log-format json`,
	}
	var o up.Options
	f := cmd.Flags()
	f.StringVarP(&o.Template, "template", "t", "", "the template's `PATH`, or that of the folder that holds it")
	f.StringArrayVar(&o.Hosts, "host", nil, "`ADDRESS` to listen on (repeatable; default: loopback, IPv4 and IPv6); beyond loopback, --iam is enforce and the root key is random")
	f.IntSliceVar(&o.Ports, "port", []int{8420}, "port `N` to listen on (repeatable; 0 takes any free one)")
	f.StringVar(&o.DataDir, "data-dir", "", "`DIR` where everything durable lies (default: .tidegate beside the template)")
	f.BoolVar(&o.Prune, "prune", false, "delete tables whose resource left the template, with their items")
	f.BoolVar(&o.NoRecord, "no-record", false, "keep nothing of what clients send: without it, the latest messages lie in the data dir for tidegate replay")
	f.BoolVar(&o.Fresh, "fresh", false, "delete what the data dir holds first: tables and their items, logs, everything")
	f.StringArrayVar(&o.AllowOrigins, "allow-origin", nil, "web `ORIGIN` whose pages may call the HTTP APIs (repeatable)")
	f.StringArrayVar(&o.Certificates, "certificate", nil, "`DOMAIN=CERT.pem,KEY.pem` to serve a custom domain name with (repeatable; default: a certificate of an authority of the domain's own)")
	overrides := f.StringArray("parameter-overrides", nil, "template parameters, `K=V` … (further K=V may follow)")
	f.StringVar(&o.Region, "region", "", "AWS `REGION` (default: the one that serverless.yml or the CDK app names, $AWS_REGION, $AWS_DEFAULT_REGION, us-east-1)")
	f.StringVar(&o.Stage, "stage", "", stageUsage)
	inputFlags(f, &o)
	mode := f.String("mode", string(apigw.ModeAWS), "`MODE`: aws, the quotas and semantics of AWS, or extended, where limits are settings")
	limits := f.StringArray("limit", nil, "`NAME=VALUE` of a limit, such as message_size=1MiB, idle=30m, lifetime=none (repeatable; docs/quotas.md has all)")
	fallback := f.String("fallback-endpoint", "", "`URL` that calls to AWS services go to which Tidegate lacks (default: they fail by name)")
	f.StringVar(&o.StackName, "stack-name", "", stackNameUsage)
	f.StringVar(&o.IAM, "iam", "", "`MODE`: enforce, warn or off, what a policy that doesn't allow a call does (default: warn)")
	f.BoolVar(&o.NoBuild, "no-build", false, "run functions' code as it lies in their folders: nothing is built, no dependencies are installed")
	f.BoolVar(&o.Strict, "strict", false, "make an error of each resource that would only be a placeholder")
	inspect := f.StringArray("inspect", nil, "let a debugger attach at `[FUNCTION=]PORT` of loopback (repeatable; without FUNCTION, to each on consecutive ports); lifts the function's and the integration's timeout")
	f.StringVar(&o.LogFormat, "log-format", "auto", "`FORMAT`: auto, text or json; auto is text on a terminal, JSON when piped")
	cmd.Args = func(*cobra.Command, []string) error { return nil } // checked below: K=V may follow a flag
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := upArguments(cmd, &o, args, *overrides, *fallback); err != nil {
			return err
		}
		var err error
		if o.Limits, err = limitsOf(*mode, *limits); err != nil {
			return err
		}
		if o.WebhookSecret, err = webhookSecret(o.Limits.Mode); err != nil {
			return err
		}
		if o.Inspect, err = inspections(*inspect); err != nil {
			return err
		}
		o.Out, o.Err = os.Stdout, os.Stderr
		o.Terminal = isTerminal(os.Stdout)
		o.Color = o.Terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		return invalidTemplate(up.Run(cmd.Context(), o))
	}
	return cmd
}

const stageUsage = "`NAME` of the stage of a serverless.yml (default: the one that it names, dev)"

const stackNameUsage = "`NAME` of the stack (default: the template's folder), or which one of a cdk.out with several"

// upArguments checks the flags and fills in what the environment says.
func upArguments(cmd *cobra.Command, o *up.Options, args, overrides []string, fallback string) error {
	overrides, err := templateArguments(cmd, &o.Template, args, overrides)
	if err != nil {
		return err
	}
	o.Overrides, o.DefaultRegion = overrides, region()
	switch o.LogFormat {
	case "auto", "text", "json":
	default:
		return usage("--log-format is auto, text or json, not %q", o.LogFormat)
	}
	switch o.IAM {
	case "", "enforce", "warn", "off":
	default:
		return usage("--iam is enforce, warn or off, not %q", o.IAM)
	}
	for i, text := range o.AllowOrigins {
		origin, err := edge.ParseOrigin(text)
		if err != nil {
			return usage("--allow-origin: %v", err)
		}
		o.AllowOrigins[i] = origin
	}
	for _, p := range o.Ports {
		if p < 0 || p > 65535 {
			return usage("--port is a number up to 65535, not %d", p)
		}
	}
	if o.Endpoints, err = endpoints(os.Environ()); err != nil {
		return err
	}
	if fallback == "" {
		return nil
	}
	o.Fallback, err = url.Parse(fallback)
	if err != nil || o.Fallback.Host == "" || o.Fallback.Scheme != "http" && o.Fallback.Scheme != "https" || strings.Trim(o.Fallback.Path, "/") != "" {
		return usage("--fallback-endpoint is http://HOST:PORT or https://HOST:PORT, not %q", fallback)
	}
	return nil
}

// limitsOf are the mode's limits with what --limit sets.
func limitsOf(mode string, set []string) (apigw.Limits, error) {
	m := apigw.Mode(mode)
	if m != apigw.ModeAWS && m != apigw.ModeExtended {
		return apigw.Limits{}, usage("--mode is aws or extended, not %q", mode)
	}
	l := apigw.LimitsOf(m)
	for _, text := range set {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return l, usage("--limit takes NAME=VALUE, such as message_size=1MiB, not %q", text)
		}
		if err := l.Set(name, value); err != nil {
			return l, usage("--limit: %v", err)
		}
	}
	if err := l.Check(); err != nil {
		return l, usage("--limit: %v", err)
	}
	return l, nil
}

// webhookSecret is the one in the environment, which no process list shows.
func webhookSecret(mode apigw.Mode) ([]byte, error) {
	const variable = "TIDEGATE_WEBHOOK_SECRET"
	text := os.Getenv(variable)
	switch {
	case text == "":
		return nil, nil
	case mode != apigw.ModeExtended:
		return nil, usage("%s signs calls of HTTP backends, which AWS doesn't: it is for --mode extended", variable)
	}
	secret, err := integration.ParseWebhookSecret(text)
	if err != nil {
		return nil, usage("%s: %v", variable, err)
	}
	return secret, nil
}

// endpoints reads where AWS's services are that integrations call, from the
// variables by which the SDKs know it. AWS_ENDPOINT_URL, which names no service, is
// most often this Tidegate's own, as tidegate env prints it.
func endpoints(environ []string) (map[string]*url.URL, error) {
	const prefix = "AWS_ENDPOINT_URL_"
	found := map[string]*url.URL{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, prefix) || value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			return nil, usage("%s is not an http or https URL without a password", name)
		}
		found[name] = u
	}
	return found, nil
}

// inspections reads [FUNCTION=]PORT.
func inspections(flags []string) ([]up.Inspection, error) {
	var all []up.Inspection
	for _, f := range flags {
		function, text, named := strings.Cut(f, "=")
		if !named {
			function, text = "", f
		}
		port, err := strconv.Atoi(text)
		if err != nil || port < 1 || port > 65535 || named && function == "" {
			return nil, usage("--inspect takes [FUNCTION=]PORT, such as 9229 or Chat=9229, not %q", f)
		}
		all = append(all, up.Inspection{Function: function, Port: port})
	}
	return all, nil
}

// templateArguments sorts positional arguments into the template and further
// overrides, which follow --parameter-overrides without a flag of their own.
func templateArguments(cmd *cobra.Command, template *string, args, overrides []string) ([]string, error) {
	for _, a := range args {
		switch {
		case len(overrides) > 0 && strings.Contains(a, "="):
			overrides = append(overrides, a)
		case *template == "":
			*template = a
		default:
			return nil, usage("%s takes one template at most, and got %q too: %s", cmd.Name(), a, cmd.UseLine())
		}
	}
	return overrides, nil
}

// inputFlags are the flags for files that give a template its values.
func inputFlags(f *pflag.FlagSet, o *up.Options) {
	f.StringVar(&o.ConfigFile, "config-file", "", "SAM configuration `FILE` (default: samconfig.toml, .yaml or .yml beside the template)")
	f.StringVar(&o.ConfigEnv, "config-env", "", "`NAME` of the configuration file's environment (default: default)")
	f.StringVar(&o.EnvVars, "env-vars", "", "JSON `FILE` with functions' environment variables, in SAM's format")
}

// region is the one that AWS's tools would choose, but for their files.
func region() string {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if r := os.Getenv(name); r != "" {
			return r
		}
	}
	return "us-east-1"
}

// invalidTemplate gives errors of the template, and of flags that don't go
// together, their exit code.
func invalidTemplate(err error) error {
	var bad stack.Diagnostics
	var refused *stack.APIError
	var wrong up.UsageError
	switch {
	case errors.As(err, &wrong):
		return usage("%v", wrong)
	case errors.As(err, &bad), errors.Is(err, up.ErrNoTemplate), errors.Is(err, stack.ErrChoice):
		return &exitError{exitUsage, err}
	case errors.As(err, &refused) && refused.Code == "InvalidRuntimeException": // this machine lacks it; the template is well
		return err
	case errors.As(err, &refused) && refused.Status >= 400 && refused.Status < 500: // an API says what the loader could not know
		return &exitError{exitUsage, err}
	}
	return err
}
