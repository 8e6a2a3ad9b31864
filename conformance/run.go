package conformance

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	gobwas "github.com/gobwas/ws"
)

// patience is how long a step waits for what must come; silence how long it
// watches that nothing comes.
const (
	patience = 15 * time.Second
	silence  = 250 * time.Millisecond
)

// A run is a script at work against a target.
type run struct {
	ctx      context.Context
	target   *target
	backends *backendServer
	relays   *relays
	script   *script
	values   values

	apiID, stage string
	clients      map[string]*wsClient
	named        map[string]*backend
	leased       []*relay
	logGroup     string // of the stage's access log; "" for none
	logLines     int    // of it, looked at
	segments     []string
	services     []string // that its backends stand for
	role         *role    // whom the caller is; nil: the target's own credentials

	caller, operator *reply // the last answer that no step has looked at yet
	lastCall         *step
	lastOperation    *step
}

// A failure is a step that did not go as the script says.
type failure struct {
	file       string
	step       *step
	mismatches []mismatch
	err        error
}

// Error shows the line, what was wanted and what came.
func (f *failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s", f.file, f.step.line, f.step.text)
	if f.err != nil {
		fmt.Fprintf(&b, "\n    %v", f.err)
	}
	for _, m := range f.mismatches {
		if m.at != "" {
			fmt.Fprintf(&b, "\n  %s", m.at)
		}
		want, got := oneLine(m.want), oneLine(m.got)
		fmt.Fprintf(&b, "\n    want  %s\n    got   %s", want, got)
		if at := differsAt(want, got); at > 0 && len(got) > 20 {
			fmt.Fprintf(&b, "\n          %s^", strings.Repeat(" ", at))
		}
	}
	return b.String()
}

// oneLine shows a text with what can't be seen in it escaped.
func oneLine(s string) string {
	if len(s) > 4000 {
		s = fmt.Sprintf("%s … (%d bytes)", s[:4000], len(s))
	}
	if q := strconv.Quote(s); len(q) != len(s)+2+strings.Count(s, `"`)+strings.Count(s, `\`) {
		return q
	}
	return s
}

// differsAt is where two texts part, or 0.
func differsAt(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return 0
}

// differs makes an error of mismatches, and nil of none.
func differs(found []mismatch, err error) error {
	if err != nil || len(found) == 0 {
		return err
	}
	return &failure{mismatches: found}
}

// play runs a script and returns how it failed, or nil.
func play(ctx context.Context, t *target, backends *backendServer, relays *relays, s *script) (err error) {
	r := &run{
		ctx: ctx, target: t, backends: backends, relays: relays, script: s,
		values:  values{"region": t.region, "account": t.account, "roleArn": t.functionRole},
		clients: map[string]*wsClient{}, named: map[string]*backend{},
	}
	defer func() {
		if end := r.end(); err == nil && end != nil {
			err = end
		}
		if err != nil && t.log != nil && r.apiID != "" {
			err = fmt.Errorf("%w\n  what the server said of it:\n    %s", err, strings.Join(t.log(r.apiID), "\n    "))
		}
	}()
	if s.api != nil {
		if err := r.build(s.api); err != nil {
			return fmt.Errorf("%s: api: %w", s.file, err)
		}
	}
	for _, st := range s.steps {
		if err := r.step(st); err != nil {
			return err
		}
	}
	return r.settled(nil)
}

// step runs one step; its failure names it.
func (r *run) step(s *step) error {
	if err := r.settled(s); err != nil {
		return err
	}
	err := s.verb.do(r, s)
	if r.caller != nil {
		r.lastCall = s
	}
	if r.operator != nil {
		r.lastOperation = s
	}
	return r.failed(s, err)
}

func (r *run) failed(s *step, err error) error {
	var f *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		f.file, f.step = r.script.file, s
		return f
	}
	return &failure{file: r.script.file, step: s, err: err}
}

// settled wants 2xx of a call that no step has looked at, unless s looks at it.
func (r *run) settled(s *step) error {
	form := ""
	if s != nil {
		form = s.verb.form
	}
	if r.caller != nil && !strings.HasPrefix(form, "caller is answered") && !strings.HasPrefix(form, "BACKEND") {
		got := r.caller
		r.caller = nil
		if got.status/100 != 2 {
			return r.failed(r.lastCall, &failure{mismatches: []mismatch{{"status", "2xx, as no step says otherwise", fmt.Sprintf("%d %s", got.status, got.body)}}})
		}
	}
	if r.operator != nil && !strings.HasPrefix(form, "operator is") {
		got := r.operator
		r.operator = nil
		if got.status/100 != 2 {
			return r.failed(r.lastOperation, &failure{mismatches: []mismatch{{"status", "2xx, as no step says otherwise", fmt.Sprintf("%d %s", got.status, got.body)}}})
		}
	}
	if s == nil {
		for _, name := range slices.Sorted(maps.Keys(r.clients)) {
			if c := r.clients[name]; !c.asserted {
				if err := r.open(c); err != nil {
					return fmt.Errorf("%s: the script ends with %s's handshake: %w", r.script.file, name, err)
				}
			}
		}
	}
	return nil
}

// end hangs everybody up and deletes what the script made.
func (r *run) end() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), patience)
	defer cancel()
	for _, b := range r.named {
		b.set(&answer{status: http.StatusOK}) // who waits goes on
	}
	for _, c := range r.clients {
		c.vanish()
	}
	var err error
	if r.apiID != "" {
		var resp *reply
		if resp, err = r.target.call(ctx, "apigateway", http.MethodDelete, "/v2/apis/"+r.apiID, nil); err == nil && resp.status/100 != 2 && resp.status != http.StatusNotFound {
			err = fmt.Errorf("%s: deleting the API: %d %s", r.script.file, resp.status, resp.body)
		}
	}
	if r.logGroup != "" {
		if _, e := r.target.logs(ctx, "DeleteLogGroup", map[string]any{"logGroupName": r.logGroup}); e != nil {
			err = errors.Join(err, e)
		}
	}
	err = errors.Join(err, r.dropRole(ctx))
	for _, s := range r.segments {
		r.backends.unbind(s)
	}
	for _, service := range r.services {
		r.backends.taken[service].Unlock()
	}
	for _, l := range r.leased {
		r.relays.giveBack(l)
	}
	return err
}

// client returns who has connected under a name.
func (r *run) client(name string) (*wsClient, error) {
	c := r.clients[name]
	if c == nil {
		return nil, fmt.Errorf("%s has not connected", name)
	}
	return c, r.open(c)
}

// open wants a client's handshake to have been accepted.
func (r *run) open(c *wsClient) error {
	if err := r.shaken(c); err != nil {
		return err
	}
	c.asserted = true
	if c.status != http.StatusSwitchingProtocols {
		return &failure{mismatches: []mismatch{{"handshake", "101", fmt.Sprintf("%d %s", c.status, c.body)}}}
	}
	return nil
}

// shaken waits for the answer to a client's handshake.
func (r *run) shaken(c *wsClient) error {
	select {
	case <-c.answered:
		return c.err
	case <-time.After(40 * time.Second): // $connect may take 29
		return fmt.Errorf("%s's handshake was not answered in 40 s", c.name)
	}
}

func (r *run) connect(s *step) error {
	if err := r.tryConnect(s); err != nil {
		return err
	}
	return r.open(r.clients[s.args[0]])
}

func (r *run) tryConnect(s *step) error {
	name, path, query, signed := s.args[0], s.args[1], s.args[2], s.args[3]
	if path == "" {
		path = "/" + r.stage
	}
	target, err := r.values.fill(path + query)
	if err != nil {
		return err
	}
	m, err := s.message("")
	if err != nil {
		return err
	}
	h := handshake{host: r.target.host(r.apiID), target: target}
	for _, line := range m.header {
		if line.value, err = r.values.fill(line.value); err != nil {
			return err
		}
		if strings.EqualFold(line.name, "Host") {
			h.host = line.value
			continue
		}
		h.header = append(h.header, line)
	}
	if signed != "" {
		if err := r.sign(&h, signed); err != nil {
			return err
		}
	}
	if old := r.clients[name]; old != nil {
		old.vanish()
	}
	r.clients[name] = connect(r.ctx, name, r.target.dial(r.target.host(r.apiID)), h)
	return nil
}

// crowd lets many clients connect that nobody speaks of again.
func (r *run) crowd(s *step) error {
	count, err := strconv.Atoi(s.args[0])
	if err != nil || count < 1 || count > 1000 {
		return errors.New("a crowd is a thousand at most")
	}
	for n := range count {
		name := fmt.Sprintf("crowd%d", n+1)
		if err := r.connect(&step{args: []string{name, "", "", ""}}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *run) connected(s *step) error {
	c, err := r.client(s.args[0])
	if err != nil {
		return err
	}
	return r.matchHead(s, "", c.header, "")
}

func (r *run) refused(s *step) error {
	c := r.clients[s.args[0]]
	if c == nil {
		return fmt.Errorf("%s has not tried to connect", s.args[0])
	}
	if err := r.shaken(c); err != nil {
		return err
	}
	c.asserted = true
	if strconv.Itoa(c.status) != s.args[1] {
		return &failure{mismatches: []mismatch{{"status", s.args[1], fmt.Sprintf("%d %s", c.status, c.body)}}}
	}
	return r.matchHead(s, s.args[2], c.header, c.body)
}

// matchHead compares header and body with a step's block.
func (r *run) matchHead(s *step, inline string, header http.Header, body string) error {
	m, err := s.message(inline)
	if err != nil {
		return err
	}
	var all []mismatch
	for _, line := range m.header {
		values := header.Values(line.name)
		if len(values) == 0 {
			all = append(all, mismatch{line.name, line.value, "(no such header)"})
			continue
		}
		found, err := r.values.matchText(line.value, strings.Join(values, ", "))
		if err != nil {
			return err
		}
		for i := range found {
			found[i].at = line.name
		}
		all = append(all, found...)
	}
	for _, name := range m.absent {
		if values := header.Values(name); len(values) > 0 {
			all = append(all, mismatch{name, "(no such header)", strings.Join(values, ", ")})
		}
	}
	if m.exact {
		found, err := r.values.matchText(m.body, body)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	return differs(all, nil)
}

func (r *run) send(s *step) error {
	text, err := r.values.fill(s.bodyOf(1))
	if err != nil {
		return err
	}
	return r.sendFrames(s, gobwas.OpText, []string{text})
}

// sendUntilClosed sends a text again and again, waiting for what comes of each,
// until the server closes.
func (r *run) sendUntilClosed(s *step) error {
	for range 1000 {
		if err := r.send(s); err != nil {
			return err
		}
		f, err := r.next(s.args[0], "an answer, or (close frame) "+s.args[2])
		switch {
		case err != nil:
			return err
		case f.what == "text":
			continue
		case f.what == "close" && strconv.Itoa(f.code) == s.args[2]:
			return nil
		}
		return &failure{mismatches: []mismatch{{"", "(close frame) " + s.args[2], f.String()}}}
	}
	return &failure{mismatches: []mismatch{{"", "(close frame) " + s.args[2], "(1000 answers)"}}}
}

func (r *run) sendFrames(s *step, op gobwas.OpCode, parts []string) error {
	c, err := r.client(s.args[0])
	if err != nil {
		return err
	}
	return c.sendParts(op, parts)
}

func (r *run) sendBinary(s *step) error {
	b, err := hex.DecodeString(s.args[1])
	if err != nil {
		return err
	}
	return r.sendFrames(s, gobwas.OpBinary, []string{string(b)})
}

func (r *run) sendFragments(s *step) error {
	if len(s.block) < 2 {
		return errors.New("fragments are two lines at least")
	}
	return r.sendFrames(s, gobwas.OpText, s.block)
}

func (r *run) sendSize(s *step) error {
	size, err := strconv.Atoi(s.args[1])
	if err != nil || size > 8<<20 {
		return errors.New("a message has 8 MiB at most")
	}
	frame := size
	if s.args[2] != "" {
		if frame, err = strconv.Atoi(s.args[2]); err != nil || frame < 1 {
			return errors.New("a frame has a byte at least")
		}
	}
	var parts []string
	if size == 0 {
		parts = []string{""}
	}
	for rest := strings.Repeat("x", size); len(rest) > 0; {
		n := min(frame, len(rest))
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	c, err := r.client(s.args[0])
	if err != nil {
		return err
	}
	c.sendParts(gobwas.OpText, parts) // the server may hang up before the last byte
	return nil
}

func (r *run) ping(s *step) error {
	c, err := r.client(s.args[0])
	if err != nil {
		return err
	}
	return c.write(gobwas.NewPingFrame([]byte(s.args[1])))
}

func (r *run) close(s *step) error {
	c, err := r.client(s.args[0])
	if err != nil {
		return err
	}
	code, _ := strconv.Atoi(s.args[1]) // "" is none
	return c.sendClose(code, s.args[2])
}

func (r *run) vanish(s *step) error {
	c := r.clients[s.args[0]]
	if c == nil {
		return fmt.Errorf("%s has not connected", s.args[0])
	}
	c.asserted = true
	c.vanish()
	return nil
}

// next is what a client is sent next.
func (r *run) next(name, want string) (frameIn, error) {
	c, err := r.client(name)
	if err != nil {
		return frameIn{}, err
	}
	select {
	case f := <-c.in:
		return f, nil
	case <-time.After(patience):
		return frameIn{}, &failure{mismatches: []mismatch{{"", want, fmt.Sprintf("(nothing in %v)", patience)}}}
	}
}

func (r *run) receive(s *step) error {
	if b := r.named[s.args[0]]; b != nil {
		return r.received(s)
	}
	want := s.bodyOf(1)
	f, err := r.next(s.args[0], want)
	if err != nil {
		return err
	}
	if f.what != "text" {
		return &failure{mismatches: []mismatch{{"", want, f.String()}}}
	}
	return differs(r.values.matchText(want, f.data))
}

func (r *run) receiveJSON(s *step) error {
	pattern, err := parseValue(s.bodyOf(1))
	if err != nil {
		return err
	}
	f, err := r.next(s.args[0], asJSON(pattern))
	if err != nil {
		return err
	}
	var got any
	if f.what != "text" || json.Unmarshal([]byte(f.data), &got) != nil {
		return &failure{mismatches: []mismatch{{"", asJSON(pattern), f.String()}}}
	}
	return differs(r.values.matchJSON(pattern, got, false, ""))
}

// receiveSize wants a text message of a size, and its frames' sizes.
func (r *run) receiveSize(s *step) error {
	want := s.args[1] + " bytes"
	f, err := r.next(s.args[0], want)
	if err != nil {
		return err
	}
	got := fmt.Sprintf("%d bytes", len(f.data))
	if s.args[2] != "" {
		want, got = want+" in frames of "+s.args[2], fmt.Sprintf("%s in frames of %s", got, strings.Trim(fmt.Sprint(f.frames), "[]"))
	}
	if f.what != "text" || want != got {
		return &failure{mismatches: []mismatch{{"", want, f.what + ", " + got}}}
	}
	return nil
}

// deafen lets a client read nothing more.
func (r *run) deafen(s *step) error {
	c, err := r.client(s.args[0])
	if err != nil {
		return err
	}
	c.deaf.Store(true)
	return nil
}

func (r *run) receiveBinary(s *step) error {
	f, err := r.next(s.args[0], "binary "+s.args[1])
	if err != nil {
		return err
	}
	if f.what != "binary" || hex.EncodeToString([]byte(f.data)) != s.args[1] {
		return &failure{mismatches: []mismatch{{"", "binary " + s.args[1], f.String()}}}
	}
	return nil
}

func (r *run) receivePong(s *step) error {
	want := "(pong) " + s.args[1]
	f, err := r.next(s.args[0], want)
	if err != nil {
		return err
	}
	if f.what != "pong" || f.data != s.args[1] {
		return &failure{mismatches: []mismatch{{"", want, f.String()}}}
	}
	return nil
}

func (r *run) receivesNothing(s *step) error {
	if b := r.named[s.args[0]]; b != nil {
		select {
		case got := <-b.in:
			return &failure{mismatches: []mismatch{{"", "(nothing)", got.String()}}}
		case <-time.After(silence):
			return nil
		}
	}
	c, err := r.client(s.args[0])
	if err != nil {
		return err
	}
	select {
	case f := <-c.in:
		return &failure{mismatches: []mismatch{{"", "(nothing)", f.String()}}}
	case <-time.After(silence):
		return nil
	}
}

func (r *run) closed(s *step) error {
	want := strings.TrimSpace("(close frame) " + s.args[1] + " " + s.args[2])
	f, err := r.next(s.args[0], want)
	if err != nil {
		return err
	}
	if f.what != "close" {
		return &failure{mismatches: []mismatch{{"", want, f.String()}}}
	}
	if strconv.Itoa(f.code) != s.args[1] {
		return &failure{mismatches: []mismatch{{"", want, f.String()}}}
	}
	found, err := r.values.matchText(s.args[2], f.reason)
	for i := range found {
		found[i] = mismatch{"", want, f.String()}
	}
	return differs(found, err)
}

func (r *run) cutOff(s *step) error {
	f, err := r.next(s.args[0], "(the connection's end)")
	if err != nil {
		return err
	}
	if f.what != "end" {
		return &failure{mismatches: []mismatch{{"", "(the connection's end, without a close frame)", f.String()}}}
	}
	return nil
}

// backend returns who is named in the api section.
func (r *run) backend(s *step) (*backend, error) {
	b := r.named[s.args[0]]
	if b == nil {
		return nil, fmt.Errorf("%s is no backend", s.args[0])
	}
	return b, nil
}

// function returns the backend of a step that only a function can do.
func (r *run) function(s *step) (*backend, error) {
	b, err := r.backend(s)
	if err == nil && !b.function {
		err = fmt.Errorf("%s is an HTTP backend; it answers STATUS", b.name)
	}
	return b, err
}

func (r *run) answer(s *step) error {
	b, err := r.backend(s)
	if err != nil {
		return err
	}
	m, err := s.message(s.args[2])
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(s.args[1])
	if err != nil {
		return err
	}
	a := &answer{status: status}
	if a.body, err = r.values.fill(m.body); err != nil {
		return err
	}
	for _, line := range m.header {
		if line.value, err = r.values.fill(line.value); err != nil {
			return err
		}
		a.header = append(a.header, line)
	}
	b.set(a)
	return nil
}

// answerBinary lets an HTTP backend answer bytes that may be no text.
func (r *run) answerBinary(s *step) error {
	b, err := r.backend(s)
	if err == nil && b.function {
		err = fmt.Errorf("%s is a function, whose result is JSON", b.name)
	}
	if err != nil {
		return err
	}
	body, err := hex.DecodeString(s.args[2])
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(s.args[1])
	b.set(&answer{status: status, body: string(body)})
	return err
}

func (r *run) returns(s *step) error {
	b, err := r.function(s)
	if err != nil {
		return err
	}
	value, err := parseValue(s.bodyOf(1))
	if err != nil {
		return err
	}
	b.set(&answer{result: asJSON(fillAll(r.values, value))})
	return nil
}

func (r *run) throws(s *step) error {
	b, err := r.function(s)
	if err != nil {
		return err
	}
	b.set(&answer{throws: &thrown{s.args[1], s.args[2]}})
	return nil
}

func (r *run) waits(s *step) error {
	b, err := r.backend(s)
	if err != nil {
		return err
	}
	b.set(nil)
	return nil
}

// String shows what a backend received.
func (r *received) String() string {
	if r.raw != "" {
		return r.raw
	}
	return r.method + " " + r.target + " " + r.body
}

// received looks at what a backend received.
func (r *run) received(s *step) error {
	b, err := r.backend(s)
	if err != nil {
		return err
	}
	var got *received
	select {
	case got = <-b.in:
	case <-time.After(patience):
		return &failure{mismatches: []mismatch{{"", "an event or a request", fmt.Sprintf("(nothing in %v)", patience)}}}
	}
	if b.function {
		if len(s.args) > 1 && s.args[1] != "" {
			return fmt.Errorf("%s is a function: it receives an event, not a request", b.name)
		}
		if len(s.block) == 0 {
			return nil
		}
		pattern, err := parseValue(strings.Join(s.block, "\n"))
		if err != nil {
			return err
		}
		return differs(r.values.matchJSON(pattern, got.event, strings.HasSuffix(s.text, " exactly"), ""))
	}
	if len(s.args) > 2 {
		found, err := r.values.matchText(s.args[1]+" "+s.args[2], got.method+" "+got.target)
		if err != nil || len(found) > 0 {
			return differs(found, err)
		}
	}
	return r.matchHead(s, "", got.header, got.body)
}

// receivedBytes compares a function's next event with the lines below the step,
// without their indentation and ends: every member, in its order.
func (r *run) receivedBytes(s *step) error {
	b, err := r.function(s)
	if err != nil {
		return err
	}
	var want strings.Builder
	for _, line := range s.block {
		want.WriteString(strings.TrimSpace(line))
	}
	select {
	case got := <-b.in:
		return differs(r.values.matchText(want.String(), got.raw))
	case <-time.After(patience):
		return &failure{mismatches: []mismatch{{"", want.String(), fmt.Sprintf("(nothing in %v)", patience)}}}
	}
}

func (r *run) advance(s *step) error {
	if r.target.advance == nil {
		return errors.New("this target's clock can't be moved; the header lacks needs: clock")
	}
	d, err := time.ParseDuration(s.args[0])
	if err != nil {
		return err
	}
	r.target.advance(d)
	return nil
}
