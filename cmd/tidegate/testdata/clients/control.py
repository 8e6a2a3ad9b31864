"""Calls every operation of apigatewayv2 that WebSocket APIs have, with boto3, and prints
which were called and how failures are typed: control.py ENDPOINT"""
import json
import sys

import boto3
from botocore.config import Config

api = boto3.client("apigatewayv2", endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 0}))
URI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
called = set()
problems = []


def call(operation, status=200, **kwargs):
    """Calls an operation and holds the HTTP status."""
    called.add(operation)
    out = getattr(api, operation)(**kwargs)
    got = out.pop("ResponseMetadata")["HTTPStatusCode"]
    if got != status:
        problems.append(f"{operation}: {got}, want {status}")
    return out


def lifecycle(noun, plural, id_name, parent, create, update, keep=False, deleted=204):
    """Creates, reads, lists, changes and, unless kept, deletes a resource."""
    made = call(f"create_{noun}", 201, **parent, **create)
    ids = {id_name: made[id_name]}
    got = call(f"get_{noun}", **parent, **ids)
    if got != made:
        problems.append(f"{noun}: read {got}, created {made}")
    page = call(f"get_{plural}", **parent, MaxResults="1")
    listed = page["Items"]
    while "NextToken" in page:
        page = call(f"get_{plural}", **parent, MaxResults="1", NextToken=page["NextToken"])
        listed += page["Items"]
    if made not in listed:
        problems.append(f"{plural}: {listed} lack {made}")
    changed = call(f"update_{noun}", **parent, **ids, **update)
    for name, value in update.items():
        if changed.get(name) != value:
            problems.append(f"{noun}.{name}: {changed.get(name)}, want {value}")
    if not keep:
        call(f"delete_{noun}", deleted, **parent, **ids)
    return ids


chat = lifecycle("api", "apis", "ApiId", {}, {"Name": "chat", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action", "Tags": {"a": "b"}},
                 {"Description": "changed"}, keep=True)
model = lifecycle("model", "models", "ModelId", chat, {"Name": "Ask", "Schema": '{"type":"object","properties":{"id":{"type":"string"}}}', "ContentType": "application/json"},
                  {"Description": "changed"}, keep=True)
call("get_model_template", **chat, **model)
authorizer = lifecycle("authorizer", "authorizers", "AuthorizerId", chat, {"Name": "who", "AuthorizerType": "REQUEST", "AuthorizerUri": URI, "IdentitySource": ["route.request.header.A"]},
                       {"Name": "whom"})
integration = lifecycle("integration", "integrations", "IntegrationId", chat, {"IntegrationType": "MOCK", "RequestTemplates": {"$default": '{"statusCode":200}'}},
                        {"TimeoutInMillis": 1000}, keep=True)
lifecycle("integration_response", "integration_responses", "IntegrationResponseId", {**chat, **integration}, {"IntegrationResponseKey": "$default"},
          {"ResponseTemplates": {"$default": "{}"}})
route = lifecycle("route", "routes", "RouteId", chat, {"RouteKey": "$default", "Target": "integrations/" + integration["IntegrationId"],
                                                       "RequestParameters": {"route.request.querystring.q": {"Required": True}}},
                  {"OperationName": "changed"}, keep=True)
lifecycle("route_response", "route_responses", "RouteResponseId", {**chat, **route}, {"RouteResponseKey": "$default"}, {"ModelSelectionExpression": "ask"})
deployment = lifecycle("deployment", "deployments", "DeploymentId", chat, {"Description": "one"}, {"Description": "changed"}, keep=True)
stage = lifecycle("stage", "stages", "StageName", chat,
                  {"StageName": "dev", **deployment, "RouteSettings": {"$default": {"ThrottlingBurstLimit": 1}},
                   "AccessLogSettings": {"DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:a", "Format": "$context.requestId"}},
                  {"Description": "changed"}, keep=True)
lifecycle("vpc_link", "vpc_links", "VpcLinkId", {}, {"Name": "inside", "SubnetIds": ["s"]}, {"Name": "changed"}, deleted=202)

domain = lifecycle("domain_name", "domain_names", "DomainName", {},
                   {"DomainName": "ws.example.com", "DomainNameConfigurations": [{"CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/c", "EndpointType": "REGIONAL"}]},
                   {}, keep=True)
lifecycle("api_mapping", "api_mappings", "ApiMappingId", domain, {**chat, "Stage": "dev"}, {**chat, "ApiMappingKey": "v1"})
call("delete_domain_name", 204, **domain)

arn = f"arn:aws:apigateway:us-east-1::/apis/{chat['ApiId']}/stages/dev"
call("tag_resource", 201, ResourceArn=arn, Tags={"k": "v", "l": "w"})
call("untag_resource", 204, ResourceArn=arn, TagKeys=["k"])
if (tags := call("get_tags", ResourceArn=arn)["Tags"]) != {"l": "w"}:
    problems.append(f"tags {tags}")

failures = {}


def fails(name, operation, **kwargs):
    """Notes the class and the members of an exception."""
    try:
        getattr(api, operation)(**kwargs)
        failures[name] = "nothing"
    except api.exceptions.ClientError as err:
        failures[name] = [type(err).__name__, err.response["ResponseMetadata"]["HTTPStatusCode"], err.response["Error"]["Message"]]


fails("missing", "get_api", ApiId="nope")
fails("invalid", "create_route", RouteKey="$nope", **chat)
fails("conflict", "create_route", RouteKey="$default", **chat)
fails("used", "delete_integration", **chat, **integration)
fails("served", "delete_deployment", **chat, **deployment)
for n in range(9):
    api.create_vpc_link(Name="x", SubnetIds=["s"])
fails("quota", "create_vpc_link", Name="x", SubnetIds=["s"])
if failures["quota"] == "nothing":
    fails("quota", "create_vpc_link", Name="x", SubnetIds=["s"])
for link in api.get_vpc_links()["Items"]:
    api.delete_vpc_link(VpcLinkId=link["VpcLinkId"])

call("delete_route_settings", 204, **chat, **stage, RouteKey="$default")
call("delete_access_log_settings", 204, **chat, **stage)
call("delete_route_request_parameter", 204, **chat, **route, RequestParameterKey="route.request.querystring.q")
call("delete_stage", 204, **chat, **stage)
call("delete_deployment", 204, **chat, **deployment)
call("delete_route", 204, **chat, **route)
call("delete_integration", 204, **chat, **integration)
call("delete_model", 204, **chat, **model)
call("delete_api", 204, **chat)

print(json.dumps({"problems": problems, "failures": failures, "left": sorted(set(api.meta.method_to_api_mapping) - called)}))
