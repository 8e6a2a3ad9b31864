package main

import (
	"net/http"
	"strings"
	"testing"
)

const http2Template = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Ask:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: ask, Runtime: nodejs22.x, CodeUri: ., Handler: app.handler, Timeout: 60 }
`

// What SDK v3's clients of Bedrock and Kinesis do: HTTP/2 and nothing else.
const http2Code = `
const http2 = require("node:http2");
exports.handler = ({ host, service }) => new Promise((resolve, reject) => {
  const session = http2.connect("https://" + host);
  session.on("error", reject);
  const asked = session.request({ ":method": "POST", ":path": "/", "content-type": "application/json",
    "x-amz-date": "20250101T000000Z", authorization: "AWS4-HMAC-SHA256 Credential=AKID/20250101/us-east-1/" + service + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + "0".repeat(64) });
  let status, type, body = "";
  asked.on("response", (h) => { status = h[":status"]; type = h["x-amzn-errortype"]; });
  asked.on("data", (b) => body += b);
  asked.on("end", () => { session.close(); resolve([status, type, JSON.parse(body).message].join(" ")); });
  asked.on("error", reject);
  asked.end("{}");
});
`

// TestHTTP2Clients: a client that speaks HTTP/2 alone reads which service it is
// that Tidegate lacks; one of a stage is refused in its handshake.
func TestHTTP2Clients(t *testing.T) {
	t.Parallel()
	need(t, "node")
	s := start(t, folder(t, map[string]string{"template.yaml": http2Template, "app.js": http2Code}))
	for _, tt := range []struct{ event, want string }{
		{`{"host":"bedrock-runtime.us-east-1.amazonaws.com","service":"bedrock"}`,
			`"400 NotImplemented Tidegate does not have the service bedrock: set AWS_ENDPOINT_URL_BEDROCK_RUNTIME for the caller to where that service is."`},
		{`{"host":"kinesis.us-east-1.amazonaws.com","service":"kinesis"}`,
			`"400 NotImplemented Tidegate does not have the service kinesis: set AWS_ENDPOINT_URL_KINESIS for the caller to where that service is."`},
		{`{"host":"abc.execute-api.us-east-1.amazonaws.com","service":"execute-api"}`, `"errorType":"Error"`},
	} {
		_, body, err := s.client.Do(t.Context(), "lambda", http.MethodPost, "/2015-03-31/functions/ask/invocations", http.Header{}, []byte(tt.event))
		if err != nil || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s: %v %s, want %s", tt.event, err, body, tt.want)
		}
	}
	s.await("the terminal to name the stage's host", func() bool { return strings.Contains(s.log.String(), "abc.execute-api.us-east-1.amazonaws.com") })
}
