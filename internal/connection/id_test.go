package connection

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"regexp"
	"testing"
)

var idLook = regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`)

func testCodec(t testing.TB) *Codec {
	t.Helper()
	c, err := NewCodec(bytes.Repeat([]byte{7}, 16))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewCodecKey(t *testing.T) {
	for _, n := range []int{0, 15, 17, 33} {
		if _, err := NewCodec(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was accepted", n)
		}
	}
	for _, n := range []int{16, 24, 32} {
		if _, err := NewCodec(make([]byte, n)); err != nil {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

func TestIDRoundTrip(t *testing.T) {
	c := testCodec(t)
	seen := map[string]ID{}
	for _, id := range []ID{
		{}, {1, 0, 1}, {1, 1, 1}, {1, 0, 2}, {MaxIncarnation, math.MaxUint32, math.MaxUint32},
		{0, 0xfff, 0}, {0, 0x1000, 0}, {0x800000, 0x80000000, 0x80000000},
	} {
		text := c.String(id)
		if !idLook.MatchString(text) {
			t.Errorf("%+v: %q does not look like AWS's ids", id, text)
		}
		if other, dup := seen[text]; dup {
			t.Errorf("%+v and %+v are both %s", id, other, text)
		}
		seen[text] = id
		got, err := c.ParseID(text)
		if err != nil || got != id {
			t.Errorf("ParseID(%s) = %+v, %v; want %+v", text, got, err, id)
		}
	}
}

func TestIDHidesNeighbours(t *testing.T) {
	c := testCodec(t)
	a, b := c.String(ID{1, 10, 1}), c.String(ID{1, 11, 1})
	same := 0
	for i := range IDLen - 1 {
		if a[i] == b[i] {
			same++
		}
	}
	if same > 5 {
		t.Errorf("neighbouring slots give %s and %s", a, b)
	}
	other, err := NewCodec(bytes.Repeat([]byte{8}, 16))
	if err != nil {
		t.Fatal(err)
	}
	if other.String(ID{1, 10, 1}) == a {
		t.Error("two keys give the same id")
	}
}

func TestParseIDMalformed(t *testing.T) {
	c := testCodec(t)
	for _, text := range []string{"", "x", "L0SM9cOFvHcCIhw", "L0SM9cOFvHcCIhw==", "L0SM9cOFvHcCIh==", "L0SM9cOFvHcCI+w=", "L0SM9cOFvHcCI w=", "L0SM9cOFvHcC\nhw=", "L0SM9cOFvHcCIhwA"} {
		if _, err := c.ParseID(text); !errors.Is(err, ErrMalformedID) {
			t.Errorf("ParseID(%q): %v", text, err)
		}
	}
	// The last character carries two unused bits; with one set the text is
	// well-formed and nobody's.
	if id, err := c.ParseID("L0SM9cOFvHcCIhx="); err != nil || id != (ID{}) {
		t.Errorf("an id that was never written: %+v, %v", id, err)
	}
}

// TestFF1 holds the specialised permutation against the algorithm as NIST
// writes it, and that against NIST's own samples.
func TestFF1(t *testing.T) {
	// NIST SP 800-38G samples 1 and 2 (AES-128, radix 10).
	key, _ := hex.DecodeString("2B7E151628AED2A6ABF7158809CF4F3C")
	plain := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	for _, s := range []struct{ tweak, want string }{{"", "2433477484"}, {"39383736353433323130", "6124200773"}} {
		tweak, _ := hex.DecodeString(s.tweak)
		got := ""
		for _, d := range ff1(t, key, 10, tweak, plain) {
			got += string(rune('0' + d))
		}
		if got != s.want {
			t.Fatalf("the reference gives %s for NIST's sample, want %s", got, s.want)
		}
	}
	c, err := NewCodec(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range [][2]uint64{{0, 0}, {1, 2}, {halfMask, halfMask}, {0x123456789ab, 0xba987654321}} {
		bits := make([]int, 88)
		for i := range 44 {
			bits[i] = int(half[0] >> (43 - i) & 1)
			bits[44+i] = int(half[1] >> (43 - i) & 1)
		}
		var want [2]uint64
		for i, bit := range ff1(t, key, 2, nil, bits) {
			want[i/44] = want[i/44]<<1 | uint64(bit)
		}
		a, b := c.encrypt(half[0], half[1])
		if [2]uint64{a, b} != want {
			t.Errorf("encrypt(%x) = %x %x, want %x", half, a, b, want)
		}
		if a, b = c.decrypt(a, b); [2]uint64{a, b} != half {
			t.Errorf("decrypt does not undo encrypt of %x: %x %x", half, a, b)
		}
	}
}

// ff1 is FF1.Encrypt of NIST SP 800-38G, step by step, for any radix.
func ff1(t *testing.T, key []byte, radix int64, tweak []byte, x []int) []int {
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	num := func(digits []int) *big.Int {
		n := new(big.Int)
		for _, d := range digits {
			n.Mul(n, big.NewInt(radix)).Add(n, big.NewInt(int64(d)))
		}
		return n
	}
	n := len(x)
	u := n / 2
	v := n - u
	a, b := x[:u], x[u:]
	bb := int(math.Ceil(math.Ceil(float64(v)*math.Log2(float64(radix))) / 8))
	d := 4*int(math.Ceil(float64(bb)/4)) + 4
	p := []byte{1, 2, 1, byte(radix >> 16), byte(radix >> 8), byte(radix), 10, byte(u)}
	p = binary.BigEndian.AppendUint32(p, uint32(n))
	p = binary.BigEndian.AppendUint32(p, uint32(len(tweak)))
	for i := range 10 {
		q := append([]byte{}, tweak...)
		for (len(q)+bb+1)%16 != 0 {
			q = append(q, 0)
		}
		q = append(q, byte(i))
		q = append(q, num(b).FillBytes(make([]byte, bb))...)
		var r [16]byte
		for m := append(append([]byte{}, p...), q...); len(m) > 0; m = m[16:] {
			for k := range r {
				r[k] ^= m[k]
			}
			block.Encrypt(r[:], r[:])
		}
		if d > 16 {
			t.Fatal("the reference does not do d > 16")
		}
		y := new(big.Int).SetBytes(r[:d])
		m := u
		if i%2 == 1 {
			m = v
		}
		c := y.Add(y, num(a))
		digits := make([]int, m)
		for k := m - 1; k >= 0; k-- {
			rem := new(big.Int)
			c.DivMod(c, big.NewInt(radix), rem)
			digits[k] = int(rem.Int64())
		}
		a, b = b, digits
	}
	return append(append([]int{}, a...), b...)
}

func FuzzParseID(f *testing.F) {
	c := testCodec(f)
	f.Add(c.String(ID{1, 2, 3}))
	f.Add("L0SM9cOFvHcCIhw=")
	f.Add("L0SM9cOFvHcCIhx=")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := c.ParseID(text)
		if (err == nil) != idLook.MatchString(text) {
			t.Fatalf("ParseID(%q): %v", text, err)
		}
		if err == nil && id != (ID{}) && c.String(id) != text {
			t.Fatalf("%q reads as %+v, which is written %q", text, id, c.String(id))
		}
	})
}

func FuzzID(f *testing.F) {
	c := testCodec(f)
	f.Add(uint32(1), uint32(2), uint32(3))
	f.Fuzz(func(t *testing.T, incarnation, slot, generation uint32) {
		id := ID{incarnation & MaxIncarnation, slot, generation}
		got, err := c.ParseID(c.String(id))
		if err != nil || got != id {
			t.Fatalf("%+v came back as %+v, %v", id, got, err)
		}
	})
}

func BenchmarkIDString(b *testing.B) {
	c := testCodec(b)
	b.ReportAllocs()
	for i := range b.N {
		c.String(ID{1, uint32(i), 1})
	}
}

func BenchmarkParseID(b *testing.B) {
	c := testCodec(b)
	text := c.String(ID{1, 2, 3})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.ParseID(text); err != nil {
			b.Fatal(err)
		}
	}
}
