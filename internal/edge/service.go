package edge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tidegate/internal/integration"
	"tidegate/sigv4"
)

// targetServices are the signing names behind X-Amz-Target prefixes, which the
// services' models fix.
var targetServices = map[string]string{
	"DynamoDB_20120810":                  "dynamodb",
	"DynamoDBStreams_20120810":           "dynamodb",
	"AWSEvents":                          "events",
	"Logs_20140328":                      "logs",
	"AmazonSQS":                          "sqs",
	"AmazonSSM":                          "ssm",
	"secretsmanager":                     "secretsmanager",
	"AWSStepFunctions":                   "states",
	"Kinesis_20131202":                   "kinesis",
	"TrentService":                       "kms",
	"AWSCognitoIdentityProviderService":  "cognito-idp",
	"AWSCognitoIdentityService":          "cognito-identity",
	"GraniteServiceVersion20100801":      "monitoring",
	"AmazonEC2ContainerServiceV20141113": "ecs",
}

// pathServices are the signing names behind paths that no other service has.
var pathServices = []struct{ prefix, service string }{
	{"/v2/", "apigateway"},
	{"/apikeys", "apigateway"},
	{"/usageplans", "apigateway"},
	{"/2014-11-13/functions", "lambda"},
	{"/2015-03-31/", "lambda"},
	{"/2016-08-19/", "lambda"},
	{"/2017-03-31/", "lambda"},
	{"/2017-10-31/", "lambda"},
	{"/2018-10-31/", "lambda"},
	{"/2019-09-25/", "lambda"},
	{"/2019-09-30/", "lambda"},
	{"/2020-04-22/", "lambda"},
	{"/2020-06-30/", "lambda"},
	{"/2021-07-20/", "lambda"},
	{"/2021-10-31/", "lambda"},
	{"/2021-11-15/", "lambda"},
	{"/schedules", "scheduler"},
	{"/schedule-groups", "scheduler"},
}

// queryServices are the signing names behind Version of the query protocol.
var queryServices = map[string]string{
	"2010-05-08": "iam",
	"2011-06-15": "sts",
	"2010-05-15": "cloudformation",
	"2010-03-31": "sns",
	"2012-11-05": "sqs",
	"2010-12-01": "email",
	"2010-08-01": "monitoring",
}

// serviceOf returns the signing name of the service that a request means, or
// "": by X-Amz-Target, by the credential scope, by the path, by the form of an
// unsigned query-protocol call, or by AWS's host name.
func serviceOf(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, _, _ := strings.Cut(target, ".")
		if s := targetServices[prefix]; s != "" {
			return s
		}
	}
	if auth, err := sigv4.Parse(r); err == nil {
		return auth.Service
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, _, _ := strings.Cut(target, ".")
		return prefix // unsigned and unknown: to be named in the answer
	}
	for _, p := range pathServices {
		if strings.HasPrefix(r.URL.Path, p.prefix) {
			return p.service
		}
	}
	if r.URL.Path == "/" || r.URL.Path == "" {
		if s := queryServices[queryVersion(r)]; s != "" {
			return s
		}
	}
	return hostService(r.Host)
}

// hostService returns what stands before the region in a host of AWS's
// (bedrock-runtime.us-east-1.amazonaws.com), or before the domain without one. Not
// every call is signed: Bedrock takes bearer tokens.
func hostService(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	rest, ok := strings.CutSuffix(strings.ToLower(host), ".amazonaws.com")
	if !ok {
		return ""
	}
	labels := strings.Split(rest, ".")
	last := len(labels) - 1
	if last > 0 && strings.Count(labels[last], "-") >= 2 { // a region
		last--
	}
	return labels[last]
}

// queryVersion returns the Version parameter of a query-protocol call. The body
// stays readable.
func queryVersion(r *http.Request) string {
	if v := r.URL.Query().Get("Version"); v != "" {
		return v
	}
	if r.Method != http.MethodPost || r.Body == nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return ""
	}
	// SDKs write Action and Version first; a form that hides Version further
	// behind is taken for no call at all.
	const most = 4096
	b := bufio.NewReaderSize(r.Body, most)
	start, _ := b.Peek(most) // shorter bodies end with io.EOF, errors show when it is read
	r.Body = struct {
		io.Reader
		io.Closer
	}{b, r.Body}
	for pair := range bytes.SplitSeq(start, []byte("&")) {
		if v, ok := bytes.CutPrefix(pair, []byte("Version=")); ok {
			if s, err := url.QueryUnescape(string(v)); err == nil {
				return s
			}
		}
	}
	return ""
}

// remedy says what to do about a service that Tidegate lacks.
func remedy(service string) string {
	return "set " + integration.EndpointVariable(service) + " for the caller to where that service is"
}

// writeUnknownService answers a call to a service that Tidegate lacks so that
// the caller's SDK shows the text. The status is one that SDKs don't retry.
func writeUnknownService(w http.ResponseWriter, r *http.Request, service, requestID string) {
	const code = "NotImplemented"
	text := "Tidegate does not have the service " + clip(service) + ": " + remedy(clip(service)) + "."
	h := w.Header()
	h["x-amzn-RequestId"] = []string{requestID}
	var body []byte
	switch shapeOf(r, service) {
	case shapeJSON:
		h.Set("Content-Type", "application/x-amz-json-1.1")
		h["x-amzn-ErrorType"] = []string{code}
		body = mustJSON(map[string]string{"__type": code, "message": text})
	case shapeQuery:
		h.Set("Content-Type", "text/xml")
		body = mustXML(queryError{Type: "Sender", Code: code, Message: text, RequestID: requestID})
	case shapeXML:
		h.Set("Content-Type", "application/xml")
		body = mustXML(restXMLError{Code: code, Message: text, RequestID: requestID})
	default:
		h.Set("Content-Type", "application/json")
		h["x-amzn-ErrorType"] = []string{code}
		body = mustJSON(map[string]string{"message": text})
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusBadRequest)
	w.Write(body)
}

// A shape is how a protocol writes errors.
type shape int

const (
	shapeREST  shape = iota // rest-json
	shapeJSON               // json-1.0 and 1.1
	shapeQuery              // query
	shapeXML                // rest-xml
)

// shapeOf guesses the protocol of a call.
func shapeOf(r *http.Request, service string) shape {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return shapeJSON
	case service == "s3", service == "route53", service == "cloudfront":
		return shapeXML
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"), r.URL.Query().Has("Action"):
		return shapeQuery
	}
	return shapeREST
}

type queryError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

type restXMLError struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
}

// mustJSON and mustXML encode values of strings only, which can't fail.
func mustJSON(v map[string]string) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func mustXML(v any) []byte {
	b, err := xml.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
