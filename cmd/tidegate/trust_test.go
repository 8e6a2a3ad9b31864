package main

import "testing"

// trustStack has one handler twice, once with Node.js options of its own: how
// it comes to trust Tidegate differs.
const trustStack = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs22.x, CodeUri: ., Handler: app.handler } }
Resources:
  Plain: { Type: AWS::Serverless::Function, Properties: { FunctionName: plain } }
  Options:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: options, Environment: { Variables: { NODE_OPTIONS: --no-warnings } } }
`

const trustCode = `
const https = require("node:https");
const get = (url) => new Promise((resolve) => {
  https.get(url, (res) => { res.resume(); resolve(res.socket.authorized); }).on("error", (err) => resolve(err.code));
});
exports.handler = async ({ url }) => [
  await get("https://lambda.us-east-1.amazonaws.com/2015-03-31/functions"),
  await get(url),
  (await get("https://sts.amazonaws.com.evil.invalid/")) === true,
];
`

// TestHandlersTrustTidegate wants handlers to verify Tidegate's certificate, by
// AWS's names and by localhost.
func TestHandlersTrustTidegate(t *testing.T) {
	t.Parallel()
	need(t, "node")
	s := start(t, folder(t, map[string]string{"template.yaml": trustStack, "app.js": trustCode}))
	url := "https" + s.run.Endpoint[len("http"):] + "/_tidegate/health"
	for _, name := range []string{"plain", "options"} {
		got, failed, err := s.client.Invoke(t.Context(), name, []byte(`{"url":"`+url+`"}`))
		if err != nil || failed != "" {
			t.Fatalf("%s: %v %s %s", name, err, failed, got)
		}
		if string(got) != "[true,true,false]" {
			t.Errorf("%s: %s, want [true,true,false]", name, got)
		}
	}
}
