package server

import (
	"bytes"
	"log/slog"
	"net"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/observe"
)

// publishDomain serves a custom domain name as it is now, with a certificate: the
// user's authority vouches for names below localhost, an authority of the domain's
// own for any other. Functions that start from now on trust it.
func (s *Server) publishDomain(d *apigw.Domain) {
	if s.ca == nil { // what comes over TLS has the configured certificate
		s.domains.Publish(d)
		return
	}
	before := s.certified.CertPEM()
	if _, given := s.options.Certificates[d.Name]; given || !s.ca.Covers(strings.TrimPrefix(d.Name, "*.")) {
		if err := s.certified.Add(d.Name); err != nil {
			s.domainFailed(d.Name, err)
		}
	}
	s.domains.Publish(d)
	s.trustAnew(d.Name, before)
}

// withdrawDomain serves a custom domain name no longer.
func (s *Server) withdrawDomain(name string) {
	if s.ca == nil {
		s.domains.Withdraw(name)
		return
	}
	before := s.certified.CertPEM()
	s.domains.Withdraw(name)
	s.certified.Remove(name)
	s.trustAnew(name, before)
}

// trustAnew writes what is to be trusted, when that changed.
func (s *Server) trustAnew(name string, before []byte) {
	if bytes.Equal(before, s.certified.CertPEM()) {
		return
	}
	if err := s.writeTrust(); err != nil {
		s.domainFailed(name, err)
	}
}

func (s *Server) domainFailed(name string, err error) {
	s.options.Observer.Note(observe.Notice{Kind: observe.KindNote, Level: slog.LevelError, Text: "the custom domain name " + name + ": " + err.Error()})
}

// DomainURLs are where clients reach a stage by custom domain names: with TLS, and
// a slash at the end.
func (s *Server) DomainURLs(apiID, name string) []string {
	_, port, _ := net.SplitHostPort(s.address())
	urls := s.domains.Addresses(apiID, apigw.StageName(name))
	for i, address := range urls {
		host, path, _ := strings.Cut(address, "/")
		if port != "443" {
			host += ":" + port
		}
		urls[i] = "wss://" + host + "/" + path
	}
	return urls
}

// DomainCA is the file of the authority to trust for a custom domain name, "" when
// its certificate was given.
func (s *Server) DomainCA(name string) string {
	if _, given := s.options.Certificates[name]; given {
		return ""
	}
	if file := s.certified.CertPath(name); file != "" {
		return file
	}
	return s.ca.CertPath()
}
