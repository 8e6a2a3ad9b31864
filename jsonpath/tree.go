package jsonpath

// A node is a value that was read whole, because the path picks all of it or
// doesn't look ahead (wildcards, indexes from the end). Its texts point into
// the scanned text.
type node struct {
	kind    nodeKind
	text    []byte
	escaped bool
	quoted  bool   // a string
	names   []text // of an object's members, in the order of their first use
	items   []node // members' values or elements
}

type nodeKind uint8

const (
	nodeText nodeKind = iota // a string or anything unquoted but null
	nodeNull
	nodeObject
	nodeArray
)

type text struct {
	raw     []byte
	escaped bool
}

// pickTree reads a container that lies at a step of the path and appends what
// the rest of the path leads to.
func (s *scanner) pickTree(at int, close byte) (found bool, err error) {
	n, err := s.tree(close)
	if err != nil {
		return false, err
	}
	e := evaluation{out: s.out}
	e.list = hasWildcard(s.steps[at:])
	if e.list {
		e.out = append(e.out, '[')
	}
	e.follow(&n, s.steps[at:])
	if e.list {
		e.out = append(e.out, ']')
	}
	s.out = e.out
	return e.list || e.count > 0, nil
}

func hasWildcard(steps []step) bool {
	for _, s := range steps {
		if s.kind == stepWildcard {
			return true
		}
	}
	return false
}

// tree reads a value whole.
func (s *scanner) tree(close byte) (n node, err error) {
	s.blanks()
	if s.pos == len(s.data) {
		return node{}, ErrNotJSON
	}
	switch s.data[s.pos] {
	case '{':
		return s.objectTree()
	case '[':
		return s.arrayTree()
	case '"', '\'':
		n.text, n.escaped, err = s.quoted()
		n.quoted = true
		return n, err
	case ':', '}', ']':
		return node{}, ErrNotJSON
	}
	n.text = s.unquoted(',', close)
	if string(n.text) == "null" {
		n.kind = nodeNull
	}
	return n, nil
}

// fewMembers is up to how many members a name is searched for without an index.
const fewMembers = 8

func (s *scanner) objectTree() (n node, err error) {
	if err := s.enter(); err != nil {
		return node{}, err
	}
	n.kind = nodeObject
	var index map[string]int // from name to place, once there are many
	for {
		key, escaped, more, err := s.member()
		if err != nil {
			return node{}, err
		}
		if !more {
			s.depth--
			return n, nil
		}
		value, err := s.tree('}')
		if err != nil {
			return node{}, err
		}
		if err := s.afterMember(); err != nil {
			return node{}, err
		}
		name := string(appendText(nil, key, escaped))
		at, known := 0, false
		if index != nil {
			at, known = index[name]
		} else {
			at, known = n.place(name)
		}
		if known { // the last value counts, in the first one's place
			n.items[at] = value
			continue
		}
		n.names = append(n.names, text{key, escaped})
		n.items = append(n.items, value)
		if index != nil {
			index[name] = len(n.names) - 1
		} else if len(n.names) > fewMembers {
			index = make(map[string]int, 2*fewMembers)
			for i, t := range n.names {
				index[string(appendText(nil, t.raw, t.escaped))] = i
			}
		}
	}
}

// place returns where in an object the member of that name is.
func (n *node) place(name string) (at int, known bool) {
	for i, t := range n.names {
		if equalText(t.raw, t.escaped, name) {
			return i, true
		}
	}
	return 0, false
}

func (s *scanner) arrayTree() (n node, err error) {
	if err := s.enter(); err != nil {
		return node{}, err
	}
	n.kind = nodeArray
	for {
		more, err := s.element()
		if err != nil {
			return node{}, err
		}
		if !more {
			s.depth--
			return n, nil
		}
		item, err := s.tree(']')
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
}

// An evaluation collects what a path leads to.
type evaluation struct {
	out   []byte
	list  bool // the path has a wildcard: its results are a list
	count int
}

// follow appends what steps lead to from n.
func (e *evaluation) follow(n *node, steps []step) {
	if len(steps) == 0 {
		if e.count > 0 {
			e.out = append(e.out, ", "...)
		}
		e.count++
		if n.kind != nodeNull || e.list {
			e.out = n.append(e.out)
		}
		return
	}
	first, rest := steps[0], steps[1:]
	switch {
	case first.kind == stepMember && n.kind == nodeObject:
		if i, ok := n.place(first.name); ok {
			e.follow(&n.items[i], rest)
		}
	case first.kind == stepIndex && n.kind == nodeArray:
		i := first.index
		if i < 0 {
			i += len(n.items)
		}
		if 0 <= i && i < len(n.items) {
			e.follow(&n.items[i], rest)
		}
	case first.kind == stepWildcard:
		for i := range n.items {
			e.follow(&n.items[i], rest)
		}
	}
}

// append appends the node as Java's collections print themselves.
func (n *node) append(dst []byte) []byte {
	switch n.kind {
	case nodeNull:
		return append(dst, "null"...)
	case nodeText:
		return appendText(dst, n.text, n.escaped)
	}
	brackets := "[]"
	if n.kind == nodeObject {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for i := range n.items {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if n.kind == nodeObject {
			dst = appendText(dst, n.names[i].raw, n.names[i].escaped)
			dst = append(dst, '=')
		}
		dst = n.items[i].append(dst)
	}
	return append(dst, brackets[1])
}
