package tables

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// DynamoDB's limits on numbers: 38 significant digits, magnitudes from 1E-130
// to 9.99…E+125 (Supported data types, "Number").
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// A decimal is sign × 0.d₁d₂… × 10^exp with d₁ and the last digit not zero.
// Zero has no digits.
type decimal struct {
	negative bool
	digits   string // ASCII digits, at most maxDigits
	exp      int    // the power of ten of the digit before the first one
}

// A numberError is the message with which DynamoDB refuses a number.
type numberError string

func (e numberError) Error() string { return string(e) }

const (
	errTooManyDigits = numberError("Attempting to store more than 38 significant digits in a Number")
	errOverflow      = numberError("Number overflow. Attempting to store a number with magnitude larger than supported range")
	errUnderflow     = numberError("Number underflow. Attempting to store a number with magnitude smaller than supported range")
)

// parseDecimal reads a number as DynamoDB takes it: an optional sign, digits
// with an optional point, an optional exponent.
func parseDecimal(s string) (decimal, error) {
	bad := func() (decimal, error) {
		if s == "" {
			return decimal{}, numberError("The parameter cannot be converted to a numeric value")
		}
		return decimal{}, numberError("The parameter cannot be converted to a numeric value: " + s)
	}
	i, n := 0, len(s)
	var d decimal
	if i < n && (s[i] == '-' || s[i] == '+') {
		d.negative = s[i] == '-'
		i++
	}
	start := i
	for i < n && isDigit(s[i]) {
		i++
	}
	whole := s[start:i]
	var fraction string
	if i < n && s[i] == '.' {
		i++
		start = i
		for i < n && isDigit(s[i]) {
			i++
		}
		fraction = s[start:i]
	}
	if whole == "" && fraction == "" {
		return bad()
	}
	exp := 0
	if i < n && (s[i] == 'e' || s[i] == 'E') {
		i++
		sign := 1
		if i < n && (s[i] == '-' || s[i] == '+') {
			if s[i] == '-' {
				sign = -1
			}
			i++
		}
		if i == n {
			return bad()
		}
		for ; i < n && isDigit(s[i]); i++ {
			if exp < 1e6 { // far beyond every limit; keeps the sum from overflowing
				exp = exp*10 + int(s[i]-'0')
			}
		}
		exp *= sign
	}
	if i != n {
		return bad()
	}
	d.exp = len(whole) + exp
	digits := whole
	if fraction != "" {
		digits = whole + fraction
	}
	return d.normal(digits)
}

// normal sets d's digits without leading and trailing zeros and checks limits.
func (d decimal) normal(digits string) (decimal, error) {
	trimmed := strings.TrimLeft(digits, "0")
	d.exp -= len(digits) - len(trimmed)
	d.digits = strings.TrimRight(trimmed, "0")
	switch {
	case d.digits == "":
		return decimal{}, nil
	case len(d.digits) > maxDigits:
		return decimal{}, errTooManyDigits
	case d.exp-1 > maxExponent:
		return decimal{}, errOverflow
	case d.exp-1 < minExponent:
		return decimal{}, errUnderflow
	}
	return d, nil
}

// wrapsAround tells whether the size of a number too large doesn't fit the 32
// bits in which DynamoDB's older layer counts, and so seems small to it.
func wrapsAround(s string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	n, err := strconv.ParseInt(exponent, 10, 32)
	whole, fraction, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	digits := len(strings.TrimLeft(whole+fraction, "0"))
	return err == nil && int64(digits-len(fraction))+n > math.MaxInt32
}

// String writes the number as DynamoDB returns it: in full, without exponent,
// without needless zeros.
func (d decimal) String() string {
	if d.digits == "" {
		return "0"
	}
	var b strings.Builder
	if d.negative {
		b.WriteByte('-')
	}
	switch {
	case d.exp <= 0:
		b.WriteString("0.")
		writeZeros(&b, -d.exp)
		b.WriteString(d.digits)
	case d.exp >= len(d.digits):
		b.WriteString(d.digits)
		writeZeros(&b, d.exp-len(d.digits))
	default:
		b.WriteString(d.digits[:d.exp])
		b.WriteByte('.')
		b.WriteString(d.digits[d.exp:])
	}
	return b.String()
}

func writeZeros(b *strings.Builder, n int) {
	for ; n > 0; n-- {
		b.WriteByte('0')
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// canonicalNumber returns the number's one true spelling, the one String
// gives, so that equal numbers are equal strings.
func canonicalNumber(s string) (string, error) {
	if isCanonicalInteger(s) {
		return s, nil
	}
	d, err := parseDecimal(s)
	if err != nil {
		return "", err
	}
	return d.String(), nil
}

// isCanonicalInteger spares the common case (42, -7) a second string.
func isCanonicalInteger(s string) bool {
	i := 0
	if s != "" && s[0] == '-' {
		i = 1
	}
	if n := len(s) - i; n == 0 || n > maxDigits || s[i] == '0' && (n > 1 || i == 1) {
		return false
	}
	for ; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// compareNumbers compares two canonical numbers by value: -1, 0 or 1.
func compareNumbers(a, b string) int {
	an, bn := a[0] == '-', b[0] == '-'
	switch {
	case an && bn:
		return compareMagnitudes(b[1:], a[1:])
	case an:
		return -1
	case bn:
		return 1
	}
	return compareMagnitudes(a, b)
}

// compareMagnitudes needs no arithmetic: with as many digits before the point,
// canonical spellings sort as text.
func compareMagnitudes(a, b string) int {
	if x, y := wholeDigits(a), wholeDigits(b); x != y {
		if x < y {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

func wholeDigits(s string) int {
	if i := strings.IndexByte(s, '.'); i >= 0 {
		return i
	}
	return len(s)
}

// addNumbers returns a+b, or a-b, of two canonical numbers, exactly; a sum that
// needs more than 38 digits is an error, as in DynamoDB.
func addNumbers(a, b string, subtract bool) (string, error) {
	x, err := parseDecimal(a)
	if err != nil {
		return "", err
	}
	y, err := parseDecimal(b)
	if err != nil {
		return "", err
	}
	if subtract {
		y.negative = !y.negative
	}
	// Both as integers × 10^-scale. Exponents are bounded, so are the integers.
	scale := max(x.scale(), y.scale())
	sum := new(big.Int).Add(x.scaled(scale), y.scaled(scale))
	r := decimal{negative: sum.Sign() < 0}
	digits := sum.Abs(sum).String()
	r.exp = len(digits) - scale
	if r, err = r.normal(digits); err != nil {
		return "", err
	}
	return r.String(), nil
}

// scale is the number of digits behind the point; negative for 1200 (-2).
func (d decimal) scale() int {
	if d.digits == "" {
		return minExponent - maxDigits
	}
	return len(d.digits) - d.exp
}

func (d decimal) scaled(scale int) *big.Int {
	if d.digits == "" {
		return new(big.Int)
	}
	var b strings.Builder
	if d.negative {
		b.WriteByte('-')
	}
	b.WriteString(d.digits)
	writeZeros(&b, scale-d.scale())
	i, _ := new(big.Int).SetString(b.String(), 10)
	return i
}

// appendNumberKey appends bytes that sort as the canonical number does: a sign
// class, the exponent, the digits, each reversed for negative numbers.
func appendNumberKey(dst []byte, s string) []byte {
	d, err := parseDecimal(s)
	if err != nil || d.digits == "" {
		return append(dst, 0x80)
	}
	exp := byte(d.exp - 1 - minExponent) // 0 to 255: what the limits leave
	if !d.negative {
		dst = append(dst, 0x81, exp)
		return append(dst, d.digits...)
	}
	dst = append(dst, 0x7f, ^exp)
	for i := range len(d.digits) {
		dst = append(dst, ^d.digits[i])
	}
	return append(dst, 0xff) // -12 sorts after -123: what is longer is smaller
}

// numberSize is the number's share of an item's size in bytes: one for every
// two digits, one more, and one for a minus sign (dev guide, "Item sizes").
func numberSize(s string) int {
	digits := 0
	first, last := -1, -1
	for i := range len(s) {
		if !isDigit(s[i]) {
			continue
		}
		if s[i] != '0' {
			if first < 0 {
				first = digits
			}
			last = digits
		}
		digits++
	}
	if first < 0 {
		return 1
	}
	n := 1 + (last-first+2)/2
	if s[0] == '-' {
		n++
	}
	return n
}
