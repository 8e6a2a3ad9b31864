package vtl

// A node is a piece of a template that renders itself.
type node interface {
	render(e *evaluation) error
}

type block []node

type (
	// textNode is output as it is.
	textNode string

	// referenceNode is a reference in text.
	referenceNode struct {
		*reference
		escaped bool   // an odd number of backslashes stands before it
		slashes string // half of them
		literal string // as written, without the backslashes
	}

	setNode struct {
		target *reference
		value  expression
	}

	ifNode struct {
		conditions []expression
		blocks     []block // one more than conditions when there is an #else
	}

	foreachNode struct {
		at   int // where it stands in the template, as all of these
		name string
		over expression
		body block
	}

	// callNode is a call of a macro; when there is no such macro, it prints itself.
	callNode struct {
		at        int
		name      string
		arguments []expression
		body      block  // of #@name
		hasBody   bool   // it is #@name
		literal   string // as written, with what its end swallowed
	}

	defineNode struct {
		name string
		body block
	}

	evaluateNode struct {
		at     int
		source expression
	}

	stopNode  struct{}
	breakNode struct{}
)

// A macro is what #macro defines. Macros are known to the whole template,
// before their definition too.
type macro struct {
	parameters []string
	body       block
}

// A reference leads from a name to a value.
type reference struct {
	name  string
	quiet bool
	steps []step
	text  string // as written: what it prints when it has no value
	at    int    // where it stands in the template: a byte offset
}

// A step is a property, a method or an index.
type step struct {
	kind      stepKind
	name      string
	arguments []expression // of a method; an index has one
}

type stepKind uint8

const (
	stepProperty stepKind = iota
	stepMethod
	stepIndex
)

// An expression has a value, and is true or false.
type expression interface {
	value(e *evaluation) (any, error)
	// truth is not the value's: Velocity takes every literal but true for false.
	truth(e *evaluation) (bool, error)
}

type (
	literalExpression struct{ constant any } // a string, a number or a boolean
	interpolated      struct{ body block }   // a string in double quotes
	listExpression    struct{ items []expression }
	mapExpression     struct{ keys, values []expression }
	rangeExpression   struct{ from, to expression }
	notExpression     struct{ of expression }
	binaryExpression  struct {
		operator    operator
		left, right expression
	}
)

type operator uint8

const (
	opOr operator = iota
	opAnd
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
)
