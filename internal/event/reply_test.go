package event

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		payload string
		want    Reply
	}{
		{`{"statusCode":200}`, Reply{Status: 200}},
		{` { "statusCode" : 200 , "body" : "hi" } `, Reply{Status: 200, Body: []byte("hi")}},
		{`{}`, Reply{}},
		{`{"statusCode":"403"}`, Reply{Status: 403}},
		{`{"statusCode":null,"headers":null,"multiValueHeaders":null,"body":null,"isBase64Encoded":null}`, Reply{}},
		{`{"body":""}`, Reply{Body: []byte("")}},
		{`{"body":"{\"a\":\"\\u00e9\"}\n","isBase64Encoded":false}`, Reply{Body: []byte("{\"a\":\"\\u00e9\"}\n")}},
		{`{"isBase64Encoded":true,"body":"aGk="}`, Reply{Body: []byte("hi"), Binary: true}},
		{`{"isBase64Encoded":true}`, Reply{Binary: true}},
		{`{"body":"a","body":"b","statusCode":200,"statusCode":201}`, Reply{Status: 201, Body: []byte("b")}},
		{"{\"body\":\"\xff\"}", Reply{Body: []byte("\uFFFD")}},
		{`{"statusCode":200,
		   "multiValueHeaders":{"X-B":["1", 2, "\"]"],"X-C":[],"X-D":null},
		   "headers":{"Sec-WebSocket-Protocol":"chat","X-N":1.5,"X-T":true,"X-Null":null},
		   "body":"[{,:}]"}`,
			Reply{Status: 200, Body: []byte("[{,:}]"), Header: []Field{
				{"Sec-WebSocket-Protocol", "chat"}, {"X-N", "1.5"}, {"X-T", "true"},
				{"X-B", "1"}, {"X-B", "2"}, {"X-B", `"]`},
			}}},
	} {
		got, err := ParseReply([]byte(c.payload))
		if err != nil {
			t.Errorf("%s: %v", c.payload, err)
			continue
		}
		if diff := cmp.Diff(c.want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.payload, diff)
		}
	}
}

func TestParseReplyMalformed(t *testing.T) {
	for payload, want := range map[string]string{
		``:                     "not JSON",
		`{"statusCode":200`:    "not JSON",
		`{'statusCode':200}`:   "not JSON",
		`null`:                 "null, not an object",
		` "text"`:              "a string, not an object",
		`200`:                  "a number, not an object",
		`true`:                 "a boolean, not an object",
		`[{"statusCode":200}]`: "an array, not an object",
		`{"ConnectionId":"x","Data":"y","statusCode":200}`: `"ConnectionId" is not one of`,
		`{"StatusCode":200}`:                  `"StatusCode" is not one of`,
		`{"statusCode":200,"cookies":[]}`:     `"cookies" is not one of`,
		`{"statusCode":"ok"}`:                 `statusCode "ok"`,
		`{"statusCode":2e2}`:                  `statusCode "2e2"`,
		`{"statusCode":200.0}`:                `statusCode "200.0"`,
		`{"statusCode":99}`:                   `statusCode "99"`,
		`{"statusCode":1000}`:                 `statusCode "1000"`,
		`{"statusCode":-200}`:                 `statusCode "-200"`,
		`{"statusCode":true}`:                 "statusCode is a boolean",
		`{"statusCode":{}}`:                   "statusCode is an object",
		`{"body":{"a":1}}`:                    "body is an object",
		`{"body":1}`:                          "body is a number",
		`{"headers":[]}`:                      "headers is an array",
		`{"headers":"x"}`:                     "headers is a string",
		`{"headers":{"X":{}}}`:                `"X" in headers is an object`,
		`{"headers":{"X":["a"]}}`:             `"X" in headers is an array`,
		`{"multiValueHeaders":1}`:             "multiValueHeaders is a number",
		`{"multiValueHeaders":{"X":"a"}}`:     `"X" in multiValueHeaders is a string`,
		`{"multiValueHeaders":{"X":[[]]}}`:    `"X" in multiValueHeaders is an array`,
		`{"isBase64Encoded":"true"}`:          "isBase64Encoded is a string",
		`{"isBase64Encoded":1}`:               "isBase64Encoded is a number",
		`{"isBase64Encoded":true,"body":"*"}`: "not base64",
	} {
		_, err := ParseReply([]byte(payload))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrMalformed with %q", payload, err, want)
		}
	}
}

// FuzzParseReply holds ParseReply to encoding/json: what it takes, a struct of
// that shape takes with the same body.
func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":"b"},"multiValueHeaders":{"c":["d"]},"body":"x\n","isBase64Encoded":false}`))
	f.Add([]byte(`{"isBase64Encoded":true,"body":"aGk="}`))
	f.Add([]byte(`{"statusCode":"200","body":null}`))
	f.Add([]byte(`[{"}":"]"}]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := ParseReply(payload)
		var keys map[string]json.RawMessage
		if json.Unmarshal(payload, &keys) != nil || keys == nil {
			if err == nil {
				t.Fatalf("%s is no object, but was taken", payload)
			}
			return
		}
		if err != nil {
			return
		}
		for key := range keys {
			switch key {
			case "statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded":
			default:
				t.Fatalf("%s has key %q, but was taken", payload, key)
			}
		}
		var body string
		if text, ok := keys["body"]; ok && string(keys["isBase64Encoded"]) != "true" {
			if err := json.Unmarshal(text, &body); err != nil {
				t.Fatal(err)
			}
			if string(r.Body) != body {
				t.Fatalf("body of %s is %q, want %q", payload, r.Body, body)
			}
		}
	})
}

func BenchmarkParseReply(b *testing.B) {
	for name, payload := range map[string]string{
		"status": `{"statusCode":200}`,
		"body":   `{"statusCode":200,"body":"{\"message\":\"hello\"}"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseReply([]byte(payload)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
