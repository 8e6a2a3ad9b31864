package up

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"tidegate/internal/intercept"
	"tidegate/internal/stack"
)

// certificates reads the flags DOMAIN=CERT.pem,KEY.pem.
func certificates(flags []string) (map[string]*tls.Certificate, error) {
	all := map[string]*tls.Certificate{}
	for _, f := range flags {
		domain, files, _ := strings.Cut(f, "=")
		cert, key, ok := strings.Cut(files, ",")
		if domain == "" || !ok {
			return nil, UsageError(fmt.Sprintf("--certificate is DOMAIN=CERT.pem,KEY.pem, such as ws.example.com=cert.pem,key.pem, not %q", f))
		}
		c, err := intercept.LoadCertificate(strings.ToLower(domain), cert, key)
		if err != nil {
			return nil, UsageError("--certificate " + domain + ": " + err.Error())
		}
		all[strings.ToLower(domain)] = c
	}
	return all, nil
}

// domainURLs are those that clients connect to by custom domain names.
func (r *run) domainURLs(result *stack.Result) []string {
	urls := []string{}
	for _, api := range result.APIs {
		for _, s := range api.Stages {
			urls = append(urls, r.server.DomainURLs(api.ID, s.Name)...)
		}
	}
	return urls
}

// domainLines say what they are, and what it takes to get there: no name server
// knows of this machine.
func (r *run) domainLines(result *stack.Result) []string {
	urls := r.domainURLs(result)
	if len(urls) == 0 {
		return nil
	}
	lines := []string{"Custom domain names:"}
	var foreign []string
	for _, u := range urls {
		lines = append(lines, "  "+u)
		host, _, _ := strings.Cut(strings.TrimPrefix(u, "wss://"), "/")
		if name, _, _ := strings.Cut(host, ":"); !strings.HasSuffix(name, ".localhost") {
			foreign = append(foreign, name)
		}
	}
	slices.Sort(foreign)
	foreign = slices.Compact(foreign)
	if len(foreign) == 0 {
		return lines
	}
	lines = append(lines, "  Functions and tidegate connect find them; other clients do with a line in the hosts file:")
	for _, name := range foreign {
		line := "    127.0.0.1 " + strings.Replace(name, "*", "any", 1)
		if ca := r.server.DomainCA(name); ca != "" {
			line += "   (to be trusted: " + ca + ")"
		}
		lines = append(lines, line)
	}
	return lines
}
