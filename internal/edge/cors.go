package edge

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ParseOrigin reads a web origin (scheme://host[:port]) and returns it as
// browsers write it: lower case, without its scheme's own port. "null" and
// patterns are refused: pages of no one's would be let in.
func ParseOrigin(text string) (string, error) {
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("%q is not a web origin such as https://app.example or http://localhost:3000: %s", text, why)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return bad(err.Error())
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("it must begin with http:// or https://")
	case u.Hostname() == "" || strings.Contains(u.Host, "*"):
		return bad("it must name one host")
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return bad("nothing may stand behind the host and port")
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		host = strings.TrimSuffix(strings.TrimSuffix(host, port), ":")
	}
	return u.Scheme + "://" + host, nil
}

// share lets pages of an allowed origin read the answer, and answers their
// preflight requests; true means that it did. It is called once the guard has
// let the request in. Cookies mean nothing here, so credentials aren't allowed.
// Source: https://fetch.spec.whatwg.org/#http-cors-protocol
func (g *Guard) share(w http.ResponseWriter, r *http.Request) (answered bool) {
	if len(g.AllowOrigins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin") // whatever the answer, another origin's differs
	origin := r.Header.Get("Origin")
	if !g.allows(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", "*")
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	// Named one by one, since "*" doesn't cover Authorization.
	if names := r.Header.Values("Access-Control-Request-Headers"); len(names) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(names, ", "))
	}
	// A page from the internet asks so before it may call this machine.
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
