package control

import (
	"crypto/rand"
	"strings"

	"tidegate/internal/apigw"
)

// Lengths of ids, as AWS's look.
const (
	apiIDLength        = 10
	childIDLength      = 7
	authorizerIDLength = 6
	deploymentIDLength = 6
)

// customIDTag is the tag that fixes an API's id when it is created.
const customIDTag = "_custom_id_"

const idAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// newID returns n random characters of [a-z0-9], the first one a letter so that
// no tool takes an id for a number.
func newID(n int) string {
	random := make([]byte, n)
	rand.Read(random) // never fails: crypto/rand aborts the program instead
	for i, b := range random {
		alphabet := idAlphabet
		if i == 0 {
			alphabet = idAlphabet[:26]
		}
		random[i] = alphabet[int(b)%len(alphabet)] // the bias matters not: ids are no secrets
	}
	return string(random)
}

// freshID returns an id of n characters that m doesn't have.
func freshID[V any](m map[string]V, n int) string {
	for {
		id := newID(n)
		if _, taken := m[id]; !taken {
			return id
		}
	}
}

// validCustomID says whether an API may be given the id: it becomes a host's
// first label and the first part of a path.
func validCustomID(id string) bool {
	if len(id) < 3 || len(id) > 63 || id[0] == '-' || id[len(id)-1] == '-' {
		return false
	}
	return strings.Trim(id, idAlphabet+"-") == ""
}

// findByID returns the element, or the NotFound error that AWS words the same
// way for every child: "Invalid Route identifier specified abc".
func findByID[V any](m map[string]*V, resourceType, id string) (*V, error) {
	if v := m[id]; v != nil {
		return v, nil
	}
	return nil, notFound(resourceType, "Invalid %s identifier specified %s", resourceType, cut(id)) // WS-09-009, WS-09-010
}

func findStage(api *apigw.API, name apigw.StageName) (*apigw.Stage, error) {
	if st := api.Stages[name]; st != nil {
		return st, nil
	}
	return nil, notFound("Stage", "Invalid stage identifier specified") // WS-09-057
}
