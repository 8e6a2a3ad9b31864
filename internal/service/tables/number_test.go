package tables

import (
	"bytes"
	"cmp"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestCanonicalNumber(t *testing.T) {
	nines := strings.Repeat("9", 38)
	for _, c := range []struct{ in, want, err string }{
		{in: "0", want: "0"},
		{in: "-0", want: "0"},
		{in: "00042", want: "42"},
		{in: "+7", want: "7"},
		{in: "1.0", want: "1"},
		{in: "3.1400", want: "3.14"},
		{in: ".5", want: "0.5"},
		{in: "5.", want: "5"},
		{in: "-0.050", want: "-0.05"},
		{in: "1.5E2", want: "150"},
		{in: "15e-3", want: "0.015"},
		{in: "100", want: "100"},
		{in: nines, want: nines},
		{in: nines + "00", want: nines + "00"},
		{in: "9.9999999999999999999999999999999999999E+125", want: nines + strings.Repeat("0", 88)},
		{in: "1E-130", want: "0." + strings.Repeat("0", 129) + "1"},
		{in: "1" + nines, err: "Attempting to store more than 38 significant digits in a Number"},
		{in: "1E+126", err: "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		{in: "-1E126", err: "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		{in: "1E-131", err: "Number underflow. Attempting to store a number with magnitude smaller than supported range"},
		{in: "1E99999999999999999999", err: "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		{in: "", err: "The parameter cannot be converted to a numeric value"},
		{in: "abc", err: "The parameter cannot be converted to a numeric value: abc"},
		{in: "1e", err: "The parameter cannot be converted to a numeric value: 1e"},
		{in: "1 ", err: "The parameter cannot be converted to a numeric value: 1 "},
		{in: "--1", err: "The parameter cannot be converted to a numeric value: --1"},
		{in: ".", err: "The parameter cannot be converted to a numeric value: ."},
		{in: "0x10", err: "The parameter cannot be converted to a numeric value: 0x10"},
	} {
		got, err := canonicalNumber(c.in)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || text != c.err {
			t.Errorf("canonicalNumber(%q) = %q, %q; want %q, %q", c.in, got, text, c.want, c.err)
		}
	}
}

// numbersInOrder are canonical numbers, ascending by value.
var numbersInOrder = []string{
	"-" + strings.Repeat("9", 38) + strings.Repeat("0", 88), "-1000", "-999.5", "-123", "-12.5", "-12", "-10", "-9", "-1.01", "-1", "-0.5", "-0.05",
	"-0." + strings.Repeat("0", 129) + "1", "0", "0." + strings.Repeat("0", 129) + "1", "0.05", "0.5", "1", "1.01", "9", "10", "12", "12.5", "123", "999.5", "1000",
	strings.Repeat("9", 38) + strings.Repeat("0", 88),
}

func TestNumberOrder(t *testing.T) {
	for i, a := range numbersInOrder {
		for j, b := range numbersInOrder {
			want := cmp.Compare(i, j)
			if got := compareNumbers(a, b); got != want {
				t.Errorf("compareNumbers(%s, %s) = %d, want %d", a, b, got, want)
			}
			ka := appendKeyPart(nil, value{kind: kindNumber, text: a}, true)
			kb := appendKeyPart(nil, value{kind: kindNumber, text: b}, true)
			if got := bytes.Compare(ka, kb); got != want {
				t.Errorf("keys of %s and %s compare as %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestAddNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b, sum, difference string
	}{
		{"1", "2", "3", "-1"},
		{"0.1", "0.2", "0.3", "-0.1"},
		{"0", "0", "0", "0"},
		{"-5", "5", "0", "-10"},
		{"1000", "0.001", "1000.001", "999.999"},
		{"99999999999999999999999999999999999999", "1", "100000000000000000000000000000000000000", "99999999999999999999999999999999999998"},
		{"100000000000000000000", "100000000000000000000", "200000000000000000000", "0"},
	} {
		if got, err := addNumbers(c.a, c.b, false); got != c.sum || err != nil {
			t.Errorf("%s + %s = %s, %v; want %s", c.a, c.b, got, err, c.sum)
		}
		if got, err := addNumbers(c.a, c.b, true); got != c.difference || err != nil {
			t.Errorf("%s - %s = %s, %v; want %s", c.a, c.b, got, err, c.difference)
		}
	}
	if _, err := addNumbers("1"+strings.Repeat("0", 50), "1", false); err != errTooManyDigits {
		t.Errorf("a sum of 51 digits: %v, want %v", err, errTooManyDigits)
	}
	big := strings.Repeat("9", 38) + strings.Repeat("0", 88)
	if _, err := addNumbers(big, big, false); err == nil {
		t.Error("the largest number twice is within range")
	}
}

func TestNumberSize(t *testing.T) {
	for s, want := range map[string]int{"0": 1, "1": 2, "12": 2, "123": 3, "-123": 4, "1000": 2, "0.001": 2, "1001": 3} {
		if got := numberSize(s); got != want {
			t.Errorf("numberSize(%s) = %d, want %d", s, got, want)
		}
	}
}

// FuzzNumber holds the canonical spelling, the order and the sum against
// math/big.
func FuzzNumber(f *testing.F) {
	for _, n := range numbersInOrder {
		f.Add(n, "1.50")
	}
	f.Add("1e5", "-.5E-3")
	f.Fuzz(func(t *testing.T, s, u string) {
		a, err := canonicalNumber(s)
		if err != nil {
			return
		}
		b, err := canonicalNumber(u)
		if err != nil {
			return
		}
		if again, err := canonicalNumber(a); again != a || err != nil {
			t.Fatalf("canonicalNumber(%q) = %q, whose canonical form is %q, %v", s, a, again, err)
		}
		x, okX := new(big.Rat).SetString(a)
		given, okG := new(big.Rat).SetString(strings.TrimPrefix(s, "+"))
		y, okY := new(big.Rat).SetString(b)
		if !okX || !okY || !okG || x.Cmp(given) != 0 {
			t.Fatalf("canonicalNumber(%q) = %q, another value", s, a)
		}
		if got, want := compareNumbers(a, b), x.Cmp(y); got != want {
			t.Fatalf("compareNumbers(%s, %s) = %d, want %d", a, b, got, want)
		}
		ka, kb := appendKeyPart(nil, value{kind: kindNumber, text: a}, true), appendKeyPart(nil, value{kind: kindNumber, text: b}, true)
		if got, want := bytes.Compare(ka, kb), x.Cmp(y); got != want {
			t.Fatalf("keys of %s and %s compare as %d, want %d", a, b, got, want)
		}
		if sum, err := addNumbers(a, b, false); err == nil {
			if z, _ := new(big.Rat).SetString(sum); z.Cmp(new(big.Rat).Add(x, y)) != 0 {
				t.Fatalf("%s + %s = %s", a, b, sum)
			}
		}
	})
}

func TestKeyOrder(t *testing.T) {
	inOrder := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00a", "\x01", "a", "a\x00", "a\x00b", "a\x01", "aa", "b", "é", "\xff", "\xff\xff"}
	var keys []string
	for _, s := range inOrder {
		// What follows a part must not matter.
		keys = append(keys, string(append(appendKeyPart(nil, value{kind: kindBinary, text: s}, true), 0xff)))
	}
	if !slices.IsSorted(keys) {
		t.Errorf("keys of %q are not in their order: %q", inOrder, keys)
	}
}
