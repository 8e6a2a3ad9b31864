package vtl

import (
	"fmt"
	"math"
	"math/big"
)

// maxDigits bounds integers, in digits: more than any time or amount has, and
// little enough that calculating with them costs nothing.
const maxDigits = 1000

// shrink returns an integer as int64 when it fits.
func shrink(n *big.Int) any {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

func integer(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int64:
		return big.NewInt(v), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

func double(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	}
	return 0, false
}

// arithmetic calculates as Velocity does: integers stay integers and grow when
// they must, one floating-point number makes the result one. The result is nil
// when a side isn't a number, and for a division by zero.
func arithmetic(op operator, left, right any) (any, error) {
	if a, ok := integer(left); ok {
		if b, ok := integer(right); ok {
			return integers(op, a, b)
		}
	}
	a, ok := double(left)
	b, ok2 := double(right)
	if !ok || !ok2 {
		return nil, nil
	}
	switch op {
	case opAdd:
		return a + b, nil
	case opSubtract:
		return a - b, nil
	case opMultiply:
		return a * b, nil
	}
	if b == 0 {
		return nil, nil
	}
	if op == opDivide {
		return a / b, nil
	}
	return math.Mod(a, b), nil
}

func integers(op operator, a, b *big.Int) (any, error) {
	n := new(big.Int)
	switch op {
	case opAdd:
		n.Add(a, b)
	case opSubtract:
		n.Sub(a, b)
	case opMultiply:
		n.Mul(a, b)
	default:
		if b.Sign() == 0 {
			return nil, nil
		}
		if op == opDivide {
			n.Quo(a, b)
		} else {
			n.Rem(a, b)
		}
	}
	if n.BitLen() > maxDigits*10/3 {
		return nil, fmt.Errorf("%w: a number of more than %d digits", ErrLimit, maxDigits)
	}
	return shrink(n), nil
}

// compareNumbers is negative, zero or positive; ok is false unless both are
// numbers.
func compareNumbers(left, right any) (order int, ok bool) {
	if a, isInt := left.(int64); isInt {
		if b, isInt := right.(int64); isInt {
			switch {
			case a < b:
				return -1, true
			case a > b:
				return 1, true
			}
			return 0, true
		}
	}
	if a, isInt := integer(left); isInt {
		if b, isInt := integer(right); isInt {
			return a.Cmp(b), true
		}
	}
	a, ok := double(left)
	b, ok2 := double(right)
	switch {
	case !ok || !ok2:
		return 0, false
	case a < b:
		return -1, true
	case a > b:
		return 1, true
	}
	return 0, true
}
