package config

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/pattern"
)

// check holds the values against what they mean, and makes files' names absolute.
func (c *Config) check(m *Mistakes, folder string) {
	whole := Place{File: c.File}
	at := func(path string) Place {
		if p, ok := c.places[path]; ok {
			return p
		}
		return whole
	}
	oneOf := func(path, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			m.add(at(path), path, "", "it is %s, not %q", strings.Join(allowed, " or "), clip(value))
		}
	}
	oneOf("mode", c.Mode, string(apigw.ModeAWS), string(apigw.ModeExtended))
	oneOf("log_format", c.LogFormat, "auto", "text", "json")
	if !accountID.MatchString(c.Account) {
		m.add(at("account_id"), "account_id", "", "it has 12 digits")
	}
	if !regionName.MatchString(c.Region) {
		m.add(at("region"), "region", "", "%q is no name of a region such as eu-central-1", clip(c.Region))
	}
	for _, s := range []struct{ path, value string }{
		{"services.functions", c.Services.Functions}, {"services.schedules", c.Services.Schedules}, {"services.tables", c.Services.Tables},
	} {
		if s.value != off {
			m.add(at(s.path), s.path, "leave it off, or use tidegate up", "tidegate serve doesn't run %s yet, nor call them elsewhere", strings.TrimPrefix(s.path, "services."))
		}
	}
	c.checkListeners(m, at)
	if (c.TLS.CertificateFile == "") != (c.TLS.PrivateKeyFile == "") {
		m.add(at("tls.certificate_file"), "tls", "", "certificate_file and private_key_file go together")
	}
	if c.WebhookSecret != "" && c.Mode == string(apigw.ModeAWS) {
		m.add(at("webhook_secret"), "webhook_secret", "", "it signs calls of HTTP backends, which AWS doesn't: it is for mode extended")
	}
	c.checkLimits(m)
	c.checkIdentities(m)
	c.checkAPIs(m)
	for _, file := range []*string{&c.DataDir, &c.TLS.CertificateFile, &c.TLS.PrivateKeyFile} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(folder, *file)
		}
	}
}

var (
	accountID  = pattern.New(`^[0-9]{12}$`)
	regionName = pattern.New(`^[a-z0-9]+(-[a-z0-9]+)+$`)
	keyID      = pattern.New(`^[A-Za-z0-9_-]+$`)
	apiID      = pattern.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
)

func (c *Config) checkListeners(m *Mistakes, at func(string) Place) {
	if len(c.Listeners.Public)+len(c.Listeners.Management)+len(c.Listeners.Admin) == 0 {
		m.add(at("listeners.public"), "listeners", "", "all are off, so that nobody could reach anything")
	}
	taken := map[string]string{}
	for _, l := range []struct {
		path      string
		addresses Addresses
	}{{"listeners.public", c.Listeners.Public}, {"listeners.management", c.Listeners.Management}, {"listeners.admin", c.Listeners.Admin}} {
		for i, a := range l.addresses {
			l.addresses[i] = strings.TrimSpace(a)
			_, port, err := net.SplitHostPort(l.addresses[i])
			if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 0 || n > 65535 {
				m.add(at(l.path), l.path, "", "%q is no address such as :8420, 127.0.0.1:8421 or [::1]:8422", clip(a))
			}
			if other := taken[l.addresses[i]]; other != "" && port != "0" {
				m.add(at(l.path), l.path, "", "%s is an address of %s too", clip(a), other)
			}
			taken[l.addresses[i]] = l.path
		}
	}
}

func (c *Config) checkLimits(m *Mistakes) {
	c.limits = apigw.LimitsOf(apigw.Mode(c.Mode))
	for name, limit := range c.Limits {
		if err := c.limits.Set(name, onOff(limit.Value)); err != nil {
			m.add(limit.Place, "limits."+name, "", "%v", err)
		}
	}
	if err := c.limits.Check(); err != nil {
		m.add(Place{File: c.File}, "limits", "", "%v", err)
	}
}

// onOff lets a switch be written as everywhere else in the file.
func onOff(value string) string {
	switch value {
	case "true":
		return "on"
	case "false":
		return off
	}
	return value
}

// leastSecret and leastToken are what can't be guessed by trying.
const (
	leastSecret = 16
	leastToken  = 24
)

func (c *Config) checkIdentities(m *Mistakes) {
	names, keys, tokens := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range c.Identities {
		id := &c.Identities[i]
		path := fmt.Sprintf("identities[%d]", i)
		wrong := func(format string, args ...any) { m.add(id.Place, path, "", format, args...) }
		if !keyID.MatchString(id.Name) || len(id.Name) > 64 {
			wrong("it needs a name of letters, digits, - and _")
		}
		if names[id.Name] {
			wrong("another one has the name %q", clip(id.Name))
		}
		names[id.Name] = true
		if id.AccessKeyID == "" && id.BearerToken == "" {
			wrong("%s needs access_key_id and secret_access_key, or bearer_token", clip(id.Name))
		}
		switch {
		case (id.AccessKeyID == "") != (id.SecretAccessKey == ""):
			wrong("access_key_id and secret_access_key go together")
		case id.AccessKeyID != "" && (!keyID.MatchString(id.AccessKeyID) || len(id.AccessKeyID) > 128):
			wrong("access_key_id has letters, digits, - and _ alone")
		case id.AccessKeyID != "" && len(id.SecretAccessKey) < leastSecret:
			wrong("secret_access_key has %d characters; it needs %d at least (openssl rand -hex 20 makes one)", len(id.SecretAccessKey), leastSecret)
		case id.AccessKeyID != "" && keys[id.AccessKeyID]:
			wrong("another one has the access_key_id %s", clip(id.AccessKeyID))
		}
		keys[id.AccessKeyID] = true
		switch {
		case id.BearerToken == "":
		case len(id.BearerToken) < leastToken || strings.ContainsAny(id.BearerToken, " \t\r\n"):
			wrong("bearer_token has %d characters; it needs %d at least, and no space (openssl rand -hex 20 makes one)", len(id.BearerToken), leastToken)
		case tokens[id.BearerToken]:
			wrong("another one has the same bearer_token")
		}
		tokens[id.BearerToken] = true
		if id.Admin && (id.Actions != nil || id.APIs != nil || id.Stages != nil) {
			wrong("an admin may call everything: actions, apis and stages don't go with it")
		}
		for _, a := range id.Actions {
			if a != "execute-api:ManageConnections" && a != "execute-api:Invoke" && a != "execute-api:*" {
				wrong("actions: there are execute-api:ManageConnections (call @connections), execute-api:Invoke (connect to routes with AWS_IAM) and execute-api:*, not %q", clip(a))
			}
		}
		c.checkNames(m, path, id)
	}
}

// checkNames refuses what can be no API's id and no stage's name. That there is none
// of that name is no mistake: APIs are made by calls, too.
func (c *Config) checkNames(m *Mistakes, path string, id *Identity) {
	for _, name := range append(slices.Clone(id.APIs), id.Stages...) {
		if name == "" || strings.ContainsAny(name, "/:*?") {
			m.add(id.Place, path, "leave apis or stages out to mean all", "%q is no API's id nor stage's name", clip(name))
		}
	}
}

// checkAPIs checks ids; all else of an API is the control plane's to check.
func (c *Config) checkAPIs(m *Mistakes) {
	seen := map[string]bool{}
	for i := range c.APIs {
		a := &c.APIs[i]
		path := fmt.Sprintf("apis[%d]", i)
		if a.ID == "" {
			a.ID = idOf(a.Name)
		}
		if a.Name == "" {
			a.Name = a.ID
		}
		if a.RouteSelectionExpression == nil {
			usual := "$request.body.action"
			a.RouteSelectionExpression = &usual
		}
		switch {
		case a.ID == "":
			m.add(a.Place, path, "", "it needs an id or a name")
		case !apiID.MatchString(a.ID) || len(a.ID) < 3 || len(a.ID) > 63:
			m.add(a.Place, path+".id", "", "%q is no id: it has 3 to 63 of a-z, 0-9 and -, and begins and ends with neither -", clip(a.ID))
		case seen[a.ID]:
			m.add(a.Place, path+".id", "give each an id of its own", "another API has the id %s", a.ID)
		}
		seen[a.ID] = true
		if len(a.Stages) == 0 {
			m.add(a.Place, path, "", "%s needs a stage for clients to connect to, such as stages: [{name: prod}]", clip(a.Name))
		}
		for k, st := range a.Stages {
			if st.Ordered && c.Mode == string(apigw.ModeAWS) {
				m.add(st.Place, fmt.Sprintf("%s.stages[%d].ordered", path, k), "", "AWS handles a client's messages in parallel: it is for mode extended")
			}
		}
		for k, r := range a.Routes {
			at := fmt.Sprintf("%s.routes[%d]", path, k)
			_, known := a.Integrations[r.Target]
			switch {
			case r.Target != "" && r.Integration != nil:
				m.add(r.Place, at, "", "target and integration exclude each other")
			case r.Target != "" && !known:
				m.add(r.Place, at+".target", "", "there is no integration %q under integrations", clip(r.Target))
			}
		}
	}
}

// idOf makes an id of a name.
func idOf(name string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	return strings.Trim(id, "-")
}
