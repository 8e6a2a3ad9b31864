package ws

// An Error is a breach of the protocol or of a limit, with the close code that
// answers it.
type Error struct {
	Code  CloseCode
	text  string
	index uint8 // in decodeErrors
}

// Error returns what was wrong, without the peer's bytes.
func (e *Error) Error() string { return "ws: " + e.text }

// Text returns what was wrong, for a close frame.
func (e *Error) Text() string { return e.text }

// What a Decoder refuses, each with its section of RFC 6455.
var (
	ErrReservedBits         = &Error{Code: CloseProtocolError, text: "reserved bit set without an extension"}               // 5.2
	ErrReservedOpcode       = &Error{Code: CloseProtocolError, text: "reserved opcode"}                                     // 5.2
	ErrControlFragmented    = &Error{Code: CloseProtocolError, text: "fragmented control frame"}                            // 5.5
	ErrControlTooLong       = &Error{Code: CloseProtocolError, text: "control frame over 125 bytes"}                        // 5.5
	ErrNothingToContinue    = &Error{Code: CloseProtocolError, text: "continuation frame without a message to continue"}    // 5.4
	ErrExpectedContinuation = &Error{Code: CloseProtocolError, text: "new message inside a fragmented one"}                 // 5.4
	ErrUnmasked             = &Error{Code: CloseProtocolError, text: "frame from a client is not masked"}                   // 5.1
	ErrMasked               = &Error{Code: CloseProtocolError, text: "frame from a server is masked"}                       // 5.1
	ErrLengthEncoding       = &Error{Code: CloseProtocolError, text: "length not in its shortest form, or over 63 bits"}    // 5.2
	ErrCloseLength          = &Error{Code: CloseProtocolError, text: "close frame with half a status code"}                 // 5.5.1
	ErrCloseCode            = &Error{Code: CloseProtocolError, text: "close frame with a status code that may not be sent"} // 7.4
	ErrCloseText            = &Error{Code: CloseInvalidPayload, text: "close frame's text is not UTF-8"}                    // 5.5.1
	ErrInvalidUTF8          = &Error{Code: CloseInvalidPayload, text: "text message is not UTF-8"}                          // 8.1
	ErrBinary               = &Error{Code: CloseUnsupportedData, text: "binary messages are not accepted"}                  // 7.4.1
	ErrFrameTooBig          = &Error{Code: CloseMessageTooBig, text: "frame over the limit; send the message in fragments"} // 7.4.1
	ErrMessageTooBig        = &Error{Code: CloseMessageTooBig, text: "message over the limit"}                              // 7.4.1
	ErrDeflate              = &Error{Code: CloseInvalidPayload, text: "message can't be decompressed"}                      // RFC 7692, 7.2.2
)

// decodeErrors gives each error a number, by which a failed Decoder travels.
// Append only.
var decodeErrors = numbered(
	ErrReservedBits, ErrReservedOpcode, ErrControlFragmented, ErrControlTooLong,
	ErrNothingToContinue, ErrExpectedContinuation, ErrUnmasked, ErrMasked, ErrLengthEncoding,
	ErrCloseLength, ErrCloseCode, ErrCloseText, ErrInvalidUTF8, ErrBinary, ErrFrameTooBig, ErrMessageTooBig,
	ErrDeflate,
)

func numbered(errs ...*Error) []*Error {
	for i, e := range errs {
		e.index = uint8(i)
	}
	return errs
}
