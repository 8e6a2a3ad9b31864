package stack

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// digest is what the stack's made-up names come from: the same for the same
// account, region, stack and logical id, so that they survive a restart.
func (s *Stack) digest(parts ...string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join(append([]string{s.Account, s.Region, s.Name}, parts...), "/")))
}

// apiID returns the id of an API without a _custom_id_ tag: ten characters of
// lower-case base32, the look of AWS's ids.
func (s *Stack) apiID(logicalID string) string {
	sum := s.digest(logicalID)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:10]
}

// suffix returns n upper-case characters that stand where CloudFormation puts
// random ones.
func (s *Stack) suffix(logicalID string, n int) string {
	sum := s.digest(logicalID)
	return base32.StdEncoding.EncodeToString(sum[:])[:n]
}

// uuid returns a stable UUID-shaped text for what CloudFormation gives a random
// one.
func (s *Stack) uuid(of string) string {
	b := s.digest("uuid", of)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// generatedName returns the physical name of a resource that has none of its
// own: {stack}-{logicalId}-{12 characters}, shortened to limit as CloudFormation
// does, by cutting the two in front.
func (s *Stack) generatedName(logicalID string, limit int) string {
	tail := "-" + s.suffix(logicalID, 12)
	room := limit - len(tail)
	stack, id := s.Name, logicalID
	if len(stack)+1+len(id) > room {
		id = id[:min(len(id), max(room/2, room-1-len(stack)))]
		stack = stack[:min(len(stack), room-1-len(id))]
	}
	return stack + "-" + id + tail
}

// plannedName returns a resource's physical name when it is known beforehand,
// else "".
func (s *Stack) plannedName(res *resource) string {
	schema := res.known()
	if schema == nil || schema.nameProperty == "" {
		return ""
	}
	given := res.properties.get(schema.nameProperty)
	if given == nil {
		return s.generatedName(res.id, schema.nameLimit)
	}
	name, _ := given.scalar()
	return name
}
