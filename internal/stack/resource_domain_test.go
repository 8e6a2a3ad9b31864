package stack

import (
	"strings"
	"testing"
)

// TestDomainProblems: what a domain of a WebSocket API can't have is told before
// anything runs.
func TestDomainProblems(t *testing.T) {
	const certificate = "arn:aws:acm:us-east-1:000000000000:certificate/abc"
	for _, tt := range []struct{ name, properties, want string }{
		{"no certificate", "DomainNameConfigurations: [{EndpointType: REGIONAL}]", "needs the member CertificateArn"},
		{"two configurations", "DomainNameConfigurations: [{CertificateArn: " + certificate + "}, {CertificateArn: " + certificate + "}]", "has one configuration, REGIONAL, not 2"},
		{"edge", "DomainNameConfigurations: [{CertificateArn: " + certificate + ", EndpointType: EDGE}]", "EDGE is not supported"},
		{"old TLS", "DomainNameConfigurations: [{CertificateArn: " + certificate + ", SecurityPolicy: TLS_1_0}]", "TLS_1_0 is not supported"},
		{"mutual TLS", "DomainNameConfigurations: [{CertificateArn: " + certificate + "}], MutualTlsAuthentication: {TruststoreUri: s3://b/k}", "is not supported for WebSocket APIs"},
		{"routing rules", "DomainNameConfigurations: [{CertificateArn: " + certificate + "}], RoutingMode: ROUTING_RULE_ONLY", "needs routing rules, which are not built yet"},
		{"nothing", "Tags: {}", "needs the property DomainNameConfigurations"},
	} {
		_, err := loadText(t, "Resources:\n  D: {Type: AWS::ApiGatewayV2::DomainName, Properties: {DomainName: ws.example.test, "+tt.properties+"}}\n", Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestDomainOfSAM: two APIs share a domain, each with the base paths that it names,
// under the logical ids that SAM gives.
func TestDomainOfSAM(t *testing.T) {
	const template = `
Transform: AWS::Serverless-2016-10-31
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x}}
  A: {Type: AWS::Serverless::WebSocketApi, Properties: {RouteSelectionExpression: $request.body.action, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}, Domain: {DomainName: example.com, CertificateArn: c, BasePath: [one, /two-too/]}}}
  B: {Type: AWS::Serverless::WebSocketApi, Properties: {RouteSelectionExpression: $request.body.action, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}, Domain: {DomainName: example.com, CertificateArn: c, BasePath: three}}}
  C: {Type: AWS::Serverless::WebSocketApi, Properties: {RouteSelectionExpression: $request.body.action, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}, Domain: {DomainName: c.example.com, CertificateArn: c}}}
`
	s, err := loadText(t, template, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, res := range s.resources {
		switch res.typ {
		case "AWS::ApiGatewayV2::DomainName":
			name, _ := res.properties.get("DomainName").scalar()
			got = append(got, res.id+" "+name)
		case "AWS::ApiGatewayV2::ApiMapping":
			key, _ := res.properties.get("ApiMappingKey").scalar()
			got = append(got, res.id+" /"+key)
		}
	}
	const want = "ApiGatewayDomainNameV20caaf24ab1 example.com, AoneApiMapping /one, AtwotooApiMapping /two-too, BthreeApiMapping /three, "
	if text := strings.Join(got, ", "); !strings.HasPrefix(text, want) || !strings.HasSuffix(text, " c.example.com, CApiMapping /") {
		t.Errorf("the domains are %s\nwant %s…", text, want)
	}
	if _, err := loadText(t, strings.Replace(template, "BasePath: three", "BasePath: [a b]", 1), Options{}); err == nil || !strings.Contains(err.Error(), "a base path has letters") {
		t.Errorf("a base path with a space: %v", err)
	}
	if _, err := loadText(t, strings.Replace(template, "CertificateArn: c, BasePath: three", "BasePath: three", 1), Options{}); err == nil || !strings.Contains(err.Error(), "needs the member CertificateArn") {
		t.Errorf("no certificate: %v", err)
	}
}
