package tables

import (
	"strings"
	"unicode/utf8"
)

// A tokenKind says what a token of an expression is.
type tokenKind byte

const (
	tokEnd    tokenKind = iota
	tokName             // attribute, function or keyword
	tokAlias            // #name
	tokBind             // :value
	tokNumber           // digits, only in list indexes
	tokSymbol           // ( ) [ ] , . = <> < <= > >= + -
	tokBad              // any other character
)

// A token is a piece of an expression's text.
type token struct {
	kind       tokenKind
	start, end int
	text       string
}

// maxExpression is the longest expression that DynamoDB takes, in bytes.
const maxExpression = 4096

// scanTokens splits an expression; what belongs to no token becomes a tokBad,
// so that the parser's complaint is the only one.
func scanTokens(s string) []token {
	tokens := make([]token, 0, 16)
	for i := 0; i < len(s); {
		start := i
		kind := tokBad
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
			continue
		case isLetter(c):
			i = skipWord(s, i+1)
			kind = tokName
		case isDigit(c):
			for i < len(s) && isDigit(s[i]) {
				i++
			}
			kind = tokNumber
		case c == '#' || c == ':':
			i = skipWord(s, i+1)
			switch {
			case i == start+1: // stays a tokBad
			case c == '#':
				kind = tokAlias
			default:
				kind = tokBind
			}
		case strings.IndexByte("()[],.=+-", c) >= 0:
			i++
			kind = tokSymbol
		case c == '<' || c == '>':
			i++
			if i < len(s) && (s[i] == '=' || c == '<' && s[i] == '>') {
				i++
			}
			kind = tokSymbol
		default:
			_, n := utf8.DecodeRuneInString(s[i:])
			i += n
		}
		tokens = append(tokens, token{kind, start, i, s[start:i]})
	}
	return append(tokens, token{kind: tokEnd, start: len(s), end: len(s), text: "<EOF>"})
}

func skipWord(s string, i int) int {
	for i < len(s) && (isLetter(s[i]) || isDigit(s[i]) || s[i] == '_') {
		i++
	}
	return i
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
