package tables

import (
	"slices"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// project returns the parts of the item that the paths lead to, in the item's
// shape: maps keep their names, lists keep the order and close the gaps.
func project(it item, paths []path) item {
	whole := true
	for _, p := range paths {
		whole = whole && len(p) == 1
	}
	if whole { // the common case needs no tree
		out := make(item, 0, len(paths))
		for _, p := range paths {
			if v := it.get(p[0].name); v.kind != kindNone {
				out = append(out, attribute{p[0].name, v})
			}
		}
		return sortItem(out)
	}
	return projectMap(it, paths, 0)
}

func projectMap(it item, paths []path, depth int) item {
	var out item
	for i := range it {
		if v := projectStep(it[i].value, paths, depth, step{name: it[i].name, index: -1}); v.kind != kindNone {
			out = append(out, attribute{it[i].name, v})
		}
	}
	return out
}

// projectStep projects the value that the step leads to; paths all agree up to
// depth.
func projectStep(v value, paths []path, depth int, s step) value {
	var below []path
	for _, p := range paths {
		if len(p) <= depth || p[depth] != s {
			continue
		}
		if len(p) == depth+1 {
			return v
		}
		below = append(below, p)
	}
	if below == nil {
		return value{}
	}
	switch v.kind {
	case kindMap:
		if m := projectMap(v.m, below, depth+1); len(m) > 0 {
			return value{kind: kindMap, m: m}
		}
	case kindList:
		var list []value
		for _, i := range indexes(below, depth+1) {
			if i >= len(v.list) {
				break
			}
			if e := projectStep(v.list[i], below, depth+1, step{index: i}); e.kind != kindNone {
				list = append(list, e)
			}
		}
		if len(list) > 0 {
			return value{kind: kindList, list: list}
		}
	}
	return value{}
}

// indexes are the list indexes at depth, ascending, each once.
func indexes(paths []path, depth int) []int {
	var out []int
	for _, p := range paths {
		if i := p[depth].index; i >= 0 {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
