package stack

import (
	"math/big"
	"net/netip"
	"slices"
	"strconv"
)

// maxCIDRs is how many blocks Fn::Cidr gives at most, as on AWS.
const maxCIDRs = 256

// cidr evaluates Fn::Cidr: a block of addresses, how many parts, and how many
// bits of each part are its own (8 when that isn't said).
func (e *evaluator) cidr(v, arg *value, at place) *value {
	if arg.kind != list || len(arg.items) < 2 || len(arg.items) > 3 {
		return e.wrong(v, at, "Fn::Cidr takes a block of addresses, a count and the bits of each part")
	}
	given := make([]*value, len(arg.items))
	texts := []string{"", "", ""}
	for i, x := range arg.items {
		given[i] = e.argument(x, at)
		texts[i], _ = given[i].scalar()
	}
	if slices.ContainsFunc(given, func(x *value) bool { return x.kind == unknown }) {
		return &value{kind: unknown, text: "?", line: v.line, column: v.column}
	}
	if slices.ContainsFunc(given, (*value).calls) {
		return objectAt(v, "Fn::Cidr", listAt(v, given...))
	}
	if texts[2] == "" {
		texts[2] = "8"
	}
	block, err := netip.ParsePrefix(texts[0])
	if err != nil {
		return e.wrong(v, at, "Fn::Cidr: %q is no block of addresses such as 10.0.0.0/16", clip(texts[0]))
	}
	count, err1 := strconv.Atoi(texts[1])
	bits, err2 := strconv.Atoi(texts[2])
	if err1 != nil || err2 != nil || count < 1 || count > maxCIDRs || bits < 1 || bits > 128 {
		return e.wrong(v, at, "Fn::Cidr: the count is a number from 1 to %d, the bits one from 1 to 128; they are %q and %q", maxCIDRs, clip(texts[1]), clip(texts[2]))
	}
	length := block.Addr().BitLen() - bits
	if room := length - block.Bits(); room < 0 || room < 9 && count > 1<<room {
		return e.wrong(v, at, "Fn::Cidr: %s has no room for %d parts of %d bits", block, count, bits)
	}
	out := listAt(v)
	for i := range count {
		out.items = append(out.items, textAt(partOf(block, i, bits).String(), v))
	}
	return out
}

// partOf returns the i-th part of the block that has so many bits of its own.
func partOf(block netip.Prefix, i, bits int) netip.Prefix {
	first := block.Masked().Addr()
	n := new(big.Int).SetBytes(first.AsSlice())
	n.Add(n, new(big.Int).Lsh(big.NewInt(int64(i)), uint(bits)))
	raw := make([]byte, first.BitLen()/8)
	addr, _ := netip.AddrFromSlice(n.FillBytes(raw)) // the length is one of the two
	return netip.PrefixFrom(addr, first.BitLen()-bits)
}
