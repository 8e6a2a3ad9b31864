package tables

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"tidegate/internal/awshttp"
)

// tokenLifetime is how long a ClientRequestToken makes TransactWriteItems
// idempotent (API reference, TransactWriteItems).
const tokenLifetime = 10 * time.Minute

// A tokens remembers which transactions were made under which ClientRequestToken.
// A token is written to the log in its transaction's commit, so that a client
// who asks again after a crash gets the truth.
type tokens struct {
	mu    sync.Mutex
	known map[string]*spentToken
	// queue holds the tokens in the order in which they expire.
	queue []*spentToken
}

// A spentToken is what the token's transaction was.
type spentToken struct {
	key     string
	sum     [sha256.Size]byte // of its actions
	expires time.Time
	commit  *commit // nil: on disk when the program started
}

var errTokenMismatch = &awshttp.Error{Code: codeMismatch, Status: http.StatusBadRequest, Message: "the ClientRequestToken was used less than ten minutes ago for a transaction with other actions: give each transaction a token of its own"}

// find returns the spent token, or nil when there is none that still counts.
// The caller holds mu.
func (k *tokens) find(key string, now time.Time) *spentToken {
	if e := k.known[key]; e != nil && now.Before(e.expires) {
		return e
	}
	return nil
}

// spend remembers the token and returns the records that make it durable and
// forget the expired, a few of them at a time. The caller holds mu and sets the
// commit.
func (k *tokens) spend(e *spentToken, now time.Time) []record {
	var out []record
	const most = 8 // of the expired go with each new one, so that they can't pile up
	for len(k.queue) > 0 && len(out) < most && !now.Before(k.queue[0].expires) {
		old := k.queue[0]
		k.queue = k.queue[1:]
		if k.known[old.key] == old {
			delete(k.known, old.key)
			out = append(out, record{kind: recordTokenGone, key: old.key})
		}
	}
	if k.known == nil {
		k.known = map[string]*spentToken{}
	}
	k.known[e.key] = e
	k.queue = append(k.queue, e)
	data := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(e.sum)), uint64(e.expires.UnixMilli()))
	return append(out, record{kind: recordToken, key: e.key, data: append(data, e.sum[:]...)})
}

// load takes a token from the file.
func (k *tokens) load(key string, data []byte) error {
	e := &spentToken{key: key}
	if len(data) != 8+len(e.sum) {
		return fmt.Errorf("tables: a transaction's token on disk is damaged: it has %d bytes", len(data))
	}
	e.expires = time.UnixMilli(int64(binary.BigEndian.Uint64(data)))
	copy(e.sum[:], data[8:])
	if k.known == nil {
		k.known = map[string]*spentToken{}
	}
	k.known[key] = e
	k.queue = append(k.queue, e)
	return nil
}

// sort brings loaded tokens in the order in which they expire.
func (k *tokens) sort() {
	slices.SortFunc(k.queue, func(a, b *spentToken) int { return a.expires.Compare(b.expires) })
}
