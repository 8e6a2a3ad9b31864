// Package parity keeps what an app relied on that AWS doesn't do, or does
// otherwise: what worked here and will not work there. Each kind has one name,
// which is what the log, the report and the tests say, and the documentation lists.
package parity

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Kind names what an app relied on.
type Kind string

// What an app can rely on. A difference that no running app shows is no kind:
// docs/differences.md lists those.
const (
	UnsignedCall    Kind = "unsigned-call"
	UnknownKey      Kind = "unknown-key"
	LocalKey        Kind = "local-key"
	StrayToken      Kind = "stray-session-token"
	ForeignRegion   Kind = "foreign-region"
	PolicyDenies    Kind = "policy-denies"
	NoPermission    Kind = "no-permission"
	RoleNotAssumed  Kind = "role-not-assumable"
	StageOmitted    Kind = "stage-omitted"
	LocalBackend    Kind = "local-backend"
	ServiceLacking  Kind = "service-lacking"
	Fallback        Kind = "fallback-endpoint"
	WorkAfterReturn Kind = "work-after-return"
	OverMemory      Kind = "over-memory"
	OtherRuntime    Kind = "other-runtime"
)

// A Meaning says what a kind comes to.
type Meaning struct {
	Kind  Kind
	Here  string // what happened here
	OnAWS string
	Do    string // what to do about it
}

// Meanings are those of all kinds, the gravest first: the order of a report.
var Meanings = []Meaning{
	{UnsignedCall, "an unsigned call was taken for the account's root", "403 Missing Authentication Token", "sign it: give the SDK credentials of a role or user that may make the call"},
	{UnknownKey, "a call with a key that nobody has was taken for the account's root", "403, the security token is invalid", "use the role's own credentials, which a function finds in its environment"},
	{LocalKey, "a call was made with the key `test`, which exists only here", "403, the security token is invalid", "take the key out of the code; a function's own credentials come by themselves"},
	{StrayToken, "a long-lived key came with a session token, which was overlooked", "403, the security token is invalid", "set key, secret and token together, or none of them"},
	{ForeignRegion, "a call signed for another region was accepted", "403, Credential should be scoped to a valid region", "make the client with the region of the API or service, AWS_REGION in a function"},
	{PolicyDenies, "a call went on that no policy of its caller allows", "403 AccessDeniedException", "add a statement that allows the action on the resource; --iam enforce refuses it here too"},
	{NoPermission, "a service called a function that doesn't permit it", "Internal server error for the client, or nothing at all", "add an AWS::Lambda::Permission for the service, with the API or rule as SourceArn"},
	{RoleNotAssumed, "a service acted with a role that it may not assume", "the call fails, Internal server error for the client", "let the role's AssumeRolePolicyDocument name the service as Principal"},
	{StageOmitted, "an address without a stage led to the only one", "403 Forbidden", "end the address in the stage: https://ID.execute-api.REGION.amazonaws.com/STAGE"},
	{LocalBackend, "an integration called an address that only this machine or network has", "the call fails, Internal server error for the client", "take the address from a stage variable or parameter, and deploy the backend where API Gateway reaches it"},
	{ServiceLacking, "a service was called that Tidegate lacks, and the call failed", "the call is performed", "run the service elsewhere and name it in AWS_ENDPOINT_URL_SERVICE or --fallback-endpoint"},
	{Fallback, "a call went to --fallback-endpoint", "the service itself answers", "know that what answered is not Tidegate's word for what AWS does"},
	{WorkAfterReturn, "a function went on after it had returned", "the environment is frozen: the work stops, and goes on in a later invocation or never", "await the work before the handler returns"},
	{OverMemory, "a function used more memory than its MemorySize", "the process is ended: Runtime.ExitError, signal: killed", "raise MemorySize"},
	{OtherRuntime, "a function ran on another version than its Runtime names", "the version of Runtime runs; one that is retired can't be created any more", "install that version here, or name the one that you test with in Runtime"},
}

// meaningOf returns a kind's meaning and its place in Meanings.
func meaningOf(k Kind) (int, Meaning) {
	i := slices.IndexFunc(Meanings, func(m Meaning) bool { return m.Kind == k })
	if i < 0 {
		return len(Meanings), Meaning{Kind: k}
	}
	return i, Meanings[i]
}

// A First is where something was seen for the first time.
type First struct {
	RequestID string // "" when no request led to it
	Where     string // POST /dev/@connections/abc=, a route, a line of output
}

// An Entry is one line of a report: what was relied on, by whom or for what.
type Entry struct {
	Kind      Kind      `json:"id"`
	Subject   string    `json:"subject"` // a service, a function, a role and an action
	Count     int       `json:"count"`
	At        time.Time `json:"firstSeen"`
	RequestID string    `json:"requestId,omitempty"`
	Where     string    `json:"where,omitempty"`
	Here      string    `json:"here"`
	OnAWS     string    `json:"onAws"`
	Do        string    `json:"do"`
}

// Bounds of a report: entries of one kind, and bytes of what describes one.
const (
	maxSubjects = 20
	maxText     = 256
)

// Others is the subject of what is beyond an entry's bound.
const Others = "others"

// A Report collects entries. The zero value is empty and ready; it is safe for
// concurrent use.
type Report struct {
	mu       sync.Mutex
	entries  map[key]*Entry
	subjects map[Kind]int
}

type key struct {
	kind    Kind
	subject string
}

// See counts something that was relied on. first is asked only when it is new;
// then See returns its entry.
func (r *Report) See(kind Kind, subject string, first func() First) (entry Entry, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[key{kind, subject}]; e != nil {
		e.Count++
		return Entry{}, false
	}
	if r.subjects[kind] >= maxSubjects {
		subject = Others
		if e := r.entries[key{kind, subject}]; e != nil {
			e.Count++
			return Entry{}, false
		}
	}
	if r.entries == nil {
		r.entries, r.subjects = map[key]*Entry{}, map[Kind]int{}
	}
	subject = strings.Clone(subject) // not a part of something larger
	f := first()
	_, m := meaningOf(kind)
	e := &Entry{Kind: kind, Subject: clip(subject), Count: 1, At: time.Now(), RequestID: clip(f.RequestID), Where: clip(f.Where), Here: m.Here, OnAWS: m.OnAWS, Do: m.Do}
	r.entries[key{kind, subject}] = e
	r.subjects[kind]++
	return *e, true
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// Entries returns what was seen, the gravest kinds first, then the most frequent.
func (r *Report) Entries() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Entry, 0, len(r.entries))
	for _, e := range r.entries {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b Entry) int {
		i, _ := meaningOf(a.Kind)
		j, _ := meaningOf(b.Kind)
		return cmp.Or(cmp.Compare(i, j), cmp.Compare(b.Count, a.Count), strings.Compare(a.Subject, b.Subject))
	})
	return all
}
