# Every attribute that a WebSocket API's resources have.

locals {
  account  = "000000000000"
  invoke   = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
  role     = "arn:aws:iam::000000000000:role/r"
  schema   = jsonencode({ "$schema" = "http://json-schema.org/draft-04/schema#", title = "Ask", type = "object", properties = { id = { type = "string" } } })
  defaults = { route_selection = "$request.body.action" }
}

resource "aws_apigatewayv2_api" "all" {
  name                         = "all"
  protocol_type                = "WEBSOCKET"
  api_key_selection_expression = "$context.authorizer.usageIdentifierKey"
  description                  = "a description"
  disable_execute_api_endpoint = true
  ip_address_type              = "dualstack"
  route_selection_expression   = "$request.body.service"
  version                      = "v1"
  tags                         = { Key1 = "Value1", Key2 = "Value2" }
}

resource "aws_apigatewayv2_api" "chat" {
  name                       = "chat"
  protocol_type              = "WEBSOCKET"
  route_selection_expression = local.defaults.route_selection
}

resource "aws_apigatewayv2_vpc_link" "inside" {
  name               = "inside"
  security_group_ids = ["sg-0123"]
  subnet_ids         = ["subnet-1", "subnet-2"]
  tags               = { Key1 = "Value1" }
}

resource "aws_apigatewayv2_model" "ask" {
  api_id       = aws_apigatewayv2_api.chat.id
  name         = "Ask"
  content_type = "text/x-json"
  description  = "a model"
  schema       = local.schema
}

resource "aws_apigatewayv2_authorizer" "who" {
  api_id                     = aws_apigatewayv2_api.chat.id
  name                       = "who"
  authorizer_type            = "REQUEST"
  authorizer_uri             = local.invoke
  authorizer_credentials_arn = local.role
  identity_sources           = ["route.request.header.Auth", "route.request.querystring.Name"]
}

resource "aws_apigatewayv2_integration" "mock" {
  api_id           = aws_apigatewayv2_api.chat.id
  integration_type = "MOCK"
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                        = aws_apigatewayv2_api.chat.id
  integration_type              = "AWS"
  connection_type               = "INTERNET"
  content_handling_strategy     = "CONVERT_TO_TEXT"
  credentials_arn               = local.role
  description                   = "an integration"
  integration_method            = "POST"
  integration_uri               = local.invoke
  passthrough_behavior          = "WHEN_NO_MATCH"
  request_parameters            = { "integration.request.header.a" = "'1'", "integration.request.header.b" = "context.connectionId" }
  request_templates             = { "application/json" = "" }
  template_selection_expression = "$request.body.name"
  timeout_milliseconds          = 28999
}

resource "aws_apigatewayv2_integration" "private" {
  api_id                    = aws_apigatewayv2_api.chat.id
  integration_type          = "HTTP_PROXY"
  connection_id             = "a1b2c3"
  connection_type           = "VPC_LINK"
  content_handling_strategy = "CONVERT_TO_TEXT"
  integration_method        = "PUT"
  integration_uri           = "http://www.example.net"
}

resource "aws_apigatewayv2_integration" "proxy" {
  api_id           = aws_apigatewayv2_api.chat.id
  integration_type = "AWS_PROXY"
  integration_uri  = local.invoke
}

resource "aws_apigatewayv2_integration_response" "all" {
  api_id                        = aws_apigatewayv2_api.chat.id
  integration_id                = aws_apigatewayv2_integration.mock.id
  integration_response_key      = "/401/"
  content_handling_strategy     = "CONVERT_TO_TEXT"
  response_templates            = { "application/json" = "" }
  template_selection_expression = "$request.body.name"
}

resource "aws_apigatewayv2_route" "connect" {
  api_id             = aws_apigatewayv2_api.chat.id
  route_key          = "$connect"
  api_key_required   = true
  authorization_type = "CUSTOM"
  authorizer_id      = aws_apigatewayv2_authorizer.who.id
  target             = "integrations/${aws_apigatewayv2_integration.mock.id}"

  request_parameter {
    request_parameter_key = "route.request.header.authorization"
    required              = true
  }
  request_parameter {
    request_parameter_key = "route.request.querystring.authToken"
    required              = false
  }
}

resource "aws_apigatewayv2_route" "default" {
  api_id                              = aws_apigatewayv2_api.chat.id
  route_key                           = "$default"
  model_selection_expression          = "action"
  operation_name                      = "GET"
  request_models                      = { ask = aws_apigatewayv2_model.ask.name }
  route_response_selection_expression = "$default"
  target                              = "integrations/${aws_apigatewayv2_integration.proxy.id}"
}

resource "aws_apigatewayv2_route_response" "all" {
  api_id                     = aws_apigatewayv2_api.chat.id
  route_id                   = aws_apigatewayv2_route.default.id
  route_response_key         = "$default"
  model_selection_expression = "action"
  response_models            = { ask = aws_apigatewayv2_model.ask.name }
}

resource "aws_apigatewayv2_deployment" "one" {
  api_id      = aws_apigatewayv2_api.chat.id
  description = "the first"
  triggers    = { redeployment = "1" }
  depends_on  = [aws_apigatewayv2_route.connect, aws_apigatewayv2_route.default]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_apigatewayv2_stage" "all" {
  api_id          = aws_apigatewayv2_api.chat.id
  name            = "all"
  deployment_id   = aws_apigatewayv2_deployment.one.id
  description     = "a stage"
  stage_variables = { Var1 = "Value1", Var2 = "Value2" }
  tags            = { Key1 = "Value1" }

  access_log_settings {
    destination_arn = "arn:aws:logs:us-east-1:${local.account}:log-group:access"
    format          = "$context.identity.sourceIp $context.requestId"
  }
  default_route_settings {
    data_trace_enabled       = true
    detailed_metrics_enabled = true
    logging_level            = "ERROR"
    throttling_burst_limit   = 2222
    throttling_rate_limit    = 8888
  }
  route_settings {
    route_key = "$default"
  }
  route_settings {
    route_key                = "$connect"
    data_trace_enabled       = true
    detailed_metrics_enabled = true
    logging_level            = "ERROR"
    throttling_burst_limit   = 2222
    throttling_rate_limit    = 8888
  }
}

# A stage comes before its routes, and has settings of the predefined ones.
resource "aws_apigatewayv2_stage" "early" {
  api_id = aws_apigatewayv2_api.all.id
  name   = "early"

  route_settings {
    route_key = "$disconnect"
  }
}

resource "aws_apigatewayv2_stage" "auto" {
  api_id      = aws_apigatewayv2_api.chat.id
  name        = "auto"
  auto_deploy = true
}

resource "aws_api_gateway_account" "this" {
  cloudwatch_role_arn = local.role
}
