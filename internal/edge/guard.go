package edge

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A Guard keeps web pages from driving a Tidegate that runs on a developer's
// machine, however well a request is signed. A WebSocket handshake to a stage is
// for pages and passes, but for its Host.
type Guard struct {
	// AllowOrigins are origins whose pages may call and read the answers, as
	// ParseOrigin returns them.
	AllowOrigins []string
	// Addresses are those that we listen on; loopback is always among them.
	Addresses []netip.Addr
	// Domains are custom domain names. Nothing but stages is served there, so that
	// a page of theirs is as foreign as one of an API's host.
	Domains *Domains
	// AnyHost lets every Host in: where clients come by names that we needn't know,
	// or nobody is let in for being on this machine.
	AnyHost bool
}

// check returns why the request is refused, or nil.
func (g *Guard) check(r *http.Request) *refusal {
	if no := g.checkHost(r.Host); no != nil {
		return no
	}
	return g.checkOrigin(r)
}

// checkHost refuses hosts that aren't ours: a page of a foreign name that was
// made to resolve to this machine ("DNS rebinding") is told from our own by its
// Host alone.
func (g *Guard) checkHost(host string) *refusal {
	name := hostname(host)
	if g.AnyHost || g.isOwnHost(name) || g.Domains.Lookup(host) != nil || apiOf(host) != "" || strings.HasSuffix(name, ".amazonaws.com") {
		return nil
	}
	const text = "This Tidegate does not serve the host of this request. Use localhost, or a custom domain name that is made here."
	return &refusal{status: http.StatusMisdirectedRequest, reason: WrongHost, text: text,
		why: "the host " + name + " is neither loopback, an address we listen on, nor a custom domain name"}
}

// isOwnHost says that only this machine's user can serve pages of that host.
func (g *Guard) isOwnHost(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if a, err := netip.ParseAddr(name); err == nil {
		a = a.Unmap().WithZone("")
		return a.IsLoopback() || slices.Contains(g.Addresses, a)
	}
	return false
}

// checkOrigin refuses what a foreign page sends. SDKs and command line tools
// send neither Origin nor Sec-Fetch-Site.
func (g *Guard) checkOrigin(r *http.Request) *refusal {
	own := g.isOwnHost(hostname(r.Host)) && apiOf(r.Host) == "" && g.Domains.Lookup(r.Host) == nil
	origins := r.Header.Values("Origin")
	for _, origin := range origins {
		if g.allows(origin) || own && isOrigin(origin, r) {
			continue
		}
		return &refusal{status: http.StatusForbidden, reason: ForeignOrigin,
			text: "Tidegate refuses requests of web pages: the Origin " + clip(origin) + " is not its own. Start it with --allow-origin to let this one in.",
			why:  "the Origin " + clip(origin) + " is neither our own nor one of --allow-origin"}
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		// On an API's host there are no pages of ours: a "same-origin" page there is
		// one whose name was made to resolve to this machine.
		if site == "none" || own && site == "same-origin" || len(origins) > 0 && g.allows(origins[0]) {
			continue
		}
		return &refusal{status: http.StatusForbidden, reason: CrossSite,
			text: "Tidegate refuses requests of other sites' web pages (Sec-Fetch-Site: " + clip(site) + ").",
			why:  "Sec-Fetch-Site is " + clip(site)}
	}
	return nil
}

func (g *Guard) allows(origin string) bool { return slices.Contains(g.AllowOrigins, origin) }

// isOrigin says that the origin is the request's own.
func isOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return false
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}

// clip bounds what is repeated of a foreign header.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
