package awshttp

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A Response is a handler's answer when a status and a value don't say it all.
type Response struct {
	Status int         // 0 means 200
	Header http.Header // may be nil
	Value  any         // encoded in the protocol's way; nil means an empty body
	Raw    []byte      // sent as it is instead of Value
}

// A HandlerFunc serves one operation. The value is encoded by the protocol (a
// *Response sets more than the body); nil is an empty body.
type HandlerFunc func(*Call) (any, error)

// A Protocol tells how a service's requests and answers look.
type Protocol struct {
	Gate    *Gate
	Service string // the signing name: lambda, dynamodb, events
	MaxBody int64  // 0 means MaxBody
	// InternalCode is the error code of a failure that is not the caller's fault;
	// empty means InternalServerError (query: InternalFailure).
	InternalCode string

	query bool // errors have the query protocol's codes
}

// queryCodes are the codes of common errors in the query protocol, by those of
// the other protocols.
//
// Source: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
var queryCodes = map[string]string{
	"AccessDeniedException":               "AccessDenied",
	"IncompleteSignatureException":        "IncompleteSignature",
	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken",
	"UnrecognizedClientException":         "InvalidClientTokenId",
}

// coralErrors are the errors that AWS's service framework answers with before a
// service sees the request.
var coralErrors = map[string]bool{
	"IncompleteSignatureException": true, "InvalidSignatureException": true, "MissingAuthenticationTokenException": true,
	"UnknownOperationException": true, "UnrecognizedClientException": true,
}

// REST is the rest-json protocol: an operation has a method and a path, errors
// carry x-amzn-ErrorType.
func (p Protocol) REST(fn HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := p.open(r)
		var v any
		if err == nil {
			v, err = fn(c)
		}
		w.Header().Set("X-Amzn-Requestid", c.RequestID)
		if err != nil {
			e := p.failed(c, r.Method+" "+r.URL.Path, err)
			w.Header().Set("X-Amzn-Errortype", e.Code)
			write(w, e.Status, "application/json", e.body("", ""))
			return
		}
		p.answer(w, v, "application/json")
	})
}

// JSON is the json-1.0 and json-1.1 protocol: X-Amz-Target names the operation
// behind the prefix (DynamoDB_20120810, AWSEvents), and errors carry __type.
// namespace is put before the error's code with a '#'; empty means none. Errors
// that are no service's own have that of AWS's framework instead.
// Operations not in the map answer 400 UnknownOperationException by name.
func (p Protocol) JSON(version, prefix, namespace string, ops map[string]HandlerFunc) http.Handler {
	contentType := "application/x-amz-json-" + version
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, found := strings.CutPrefix(r.Header.Get("X-Amz-Target"), prefix+".")
		c, err := p.open(r)
		var v any
		if err == nil {
			if fn := ops[name]; found && fn != nil {
				v, err = fn(c)
			} else {
				err = Errorf(http.StatusBadRequest, "UnknownOperationException", "Tidegate's %s has no operation %q", p.Service, r.Header.Get("X-Amz-Target"))
			}
		}
		w.Header().Set("X-Amzn-Requestid", c.RequestID)
		if err != nil {
			e := p.failed(c, name, err)
			code := e.Code
			switch {
			case namespace == "" || strings.Contains(code, "#"):
			case coralErrors[code]:
				code = "com.amazon.coral.service#" + code
			default:
				code = namespace + "#" + code
			}
			// These services say 400 where others say 403, with the same codes.
			status := e.Status
			if status == http.StatusForbidden {
				status = http.StatusBadRequest
			}
			write(w, status, contentType, e.body("__type", code))
			return
		}
		if v == nil {
			v = struct{}{}
		}
		p.answer(w, v, contentType)
	})
}

// Query is the query protocol (IAM, STS): a form with Action, an XML answer.
// The value returned must be an XML element; Response and result wrappers are
// made here as <{Action}Response><{Action}Result>…</></>.
func (p Protocol) Query(namespace string, ops map[string]HandlerFunc) http.Handler {
	p.query = true
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := p.open(r)
		var v any
		var action string
		if err == nil {
			var form url.Values
			form, err = url.ParseQuery(string(c.Body))
			for k, vs := range r.URL.Query() {
				form[k] = append(form[k], vs...)
			}
			c.Form = form
			action = form.Get("Action")
			if err != nil {
				err = Errorf(http.StatusBadRequest, "MalformedQueryString", "The query string contains a syntax error")
			} else if fn := ops[action]; fn != nil {
				v, err = fn(c)
			} else {
				err = Errorf(http.StatusBadRequest, "InvalidAction", "Tidegate's %s has no operation %q", p.Service, action)
			}
		}
		w.Header().Set("X-Amzn-Requestid", c.RequestID)
		if err != nil {
			e := p.failed(c, action, err)
			write(w, e.Status, "text/xml", e.xmlBody(c.RequestID))
			return
		}
		var inner []byte
		if v != nil {
			if inner, err = xml.Marshal(v); err != nil {
				e := p.failed(c, action, err)
				write(w, e.Status, "text/xml", e.xmlBody(c.RequestID))
				return
			}
		}
		body := "<" + action + "Response xmlns=\"" + namespace + "\">" + string(inner) +
			"<ResponseMetadata><RequestId>" + c.RequestID + "</RequestId></ResponseMetadata></" + action + "Response>"
		write(w, http.StatusOK, "text/xml", []byte(body))
	})
}

func (p Protocol) open(r *http.Request) (*Call, error) {
	limit := p.MaxBody
	if limit == 0 {
		limit = MaxBody
	}
	return p.Gate.Open(r, p.Service, limit)
}

// failed turns err into what the caller sees and tells the listener.
func (p Protocol) failed(c *Call, operation string, err error) *Error {
	code := p.InternalCode
	if code == "" {
		code = "InternalServerError"
	}
	e := asError(err, code)
	if name, ok := queryCodes[e.Code]; ok && p.query {
		renamed := *e
		renamed.Code = name
		e = &renamed
	}
	var own *Error
	switch {
	case !errors.As(err, &own) && p.Gate.Events.Failed != nil:
		p.Gate.Events.Failed(p.Service, operation, c.RequestID, err)
	case e.Status < 500 && !c.told && p.Gate.Events.Refused != nil:
		p.Gate.Events.Refused(Refusal{Service: p.Service, Operation: operation, RequestID: c.RequestID, Trace: c.Get(TraceHeader), Err: e})
	}
	return e
}

func (p Protocol) answer(w http.ResponseWriter, v any, contentType string) {
	resp, ok := v.(*Response)
	if !ok {
		resp = &Response{Value: v}
	}
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	for k, vs := range resp.Header {
		w.Header()[k] = vs
	}
	if ct := w.Header().Get("Content-Type"); ct != "" {
		contentType = ct
	}
	body := resp.Raw
	if body == nil && resp.Value != nil {
		var err error
		if body, err = json.Marshal(resp.Value); err != nil {
			write(w, http.StatusInternalServerError, contentType, []byte(`{"message":"unencodable answer"}`))
			return
		}
	}
	write(w, status, contentType, body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	if len(body) > 0 || status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	if len(body) > 0 {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	w.Write(body)
}

// Decode reads the call's JSON body into v. A body that isn't JSON, or whose
// members have the wrong type, is a 400 SerializationException.
func (c *Call) Decode(v any) error {
	if len(c.Body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.Body, v); err != nil {
		return Errorf(http.StatusBadRequest, "SerializationException", "the request's JSON could not be read: %v", err)
	}
	return nil
}
