# The resources of full.tf, each with its attributes changed or taken away.

locals {
  invoke = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:g/invocations"
  role   = "arn:aws:iam::000000000000:role/s"
  schema = jsonencode({ "$schema" = "http://json-schema.org/draft-04/schema#", title = "Ask", type = "object" })
}

resource "aws_apigatewayv2_api" "all" {
  name                       = "all"
  protocol_type              = "WEBSOCKET"
  route_selection_expression = "$request.body.action"
  tags                       = { Key2 = "Value3" }
}

resource "aws_apigatewayv2_api" "chat" {
  name                       = "chat, renamed"
  protocol_type              = "WEBSOCKET"
  route_selection_expression = "$request.body.action"
}

resource "aws_apigatewayv2_vpc_link" "inside" {
  name               = "inside, renamed"
  security_group_ids = ["sg-0123"]
  subnet_ids         = ["subnet-1", "subnet-2"]
}

resource "aws_apigatewayv2_model" "ask" {
  api_id       = aws_apigatewayv2_api.chat.id
  name         = "Ask"
  content_type = "application/json"
  schema       = local.schema
}

resource "aws_apigatewayv2_authorizer" "who" {
  api_id           = aws_apigatewayv2_api.chat.id
  name             = "who-else"
  authorizer_type  = "REQUEST"
  authorizer_uri   = local.invoke
  identity_sources = ["route.request.header.Auth"]
}

resource "aws_apigatewayv2_integration" "mock" {
  api_id               = aws_apigatewayv2_api.chat.id
  integration_type     = "MOCK"
  timeout_milliseconds = 12345
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                        = aws_apigatewayv2_api.chat.id
  integration_type              = "AWS"
  content_handling_strategy     = "CONVERT_TO_BINARY"
  credentials_arn               = local.role
  description                   = "an integration, changed"
  integration_method            = "POST"
  integration_uri               = local.invoke
  passthrough_behavior          = "WHEN_NO_TEMPLATES"
  request_parameters            = { "integration.request.header.b" = "'2'" }
  request_templates             = { "application/json" = "#set($number=42)", "application/xml" = "#set($percent=$number/100)" }
  template_selection_expression = "$request.body.id"
  timeout_milliseconds          = 51
}

# content_handling_strategy stays: the provider can't take it away, on AWS neither.
resource "aws_apigatewayv2_integration" "private" {
  api_id                    = aws_apigatewayv2_api.chat.id
  integration_type          = "HTTP_PROXY"
  connection_id             = "a1b2c3"
  connection_type           = "VPC_LINK"
  content_handling_strategy = "CONVERT_TO_TEXT"
  integration_method        = "PATCH"
  integration_uri           = "http://www.example.com"
}

resource "aws_apigatewayv2_integration" "proxy" {
  api_id           = aws_apigatewayv2_api.chat.id
  integration_type = "AWS_PROXY"
  integration_uri  = local.invoke
}

resource "aws_apigatewayv2_integration_response" "all" {
  api_id                        = aws_apigatewayv2_api.chat.id
  integration_id                = aws_apigatewayv2_integration.mock.id
  integration_response_key      = "/404/"
  content_handling_strategy     = "CONVERT_TO_BINARY"
  response_templates            = { "application/json" = "#set($number=42)", "application/xml" = "#set($percent=$number/100)" }
  template_selection_expression = "$request.body.id"
}

resource "aws_apigatewayv2_route" "connect" {
  api_id             = aws_apigatewayv2_api.chat.id
  route_key          = "$connect"
  authorization_type = "AWS_IAM"
  target             = "integrations/${aws_apigatewayv2_integration.mock.id}"

  request_parameter {
    request_parameter_key = "route.request.header.authorization"
    required              = false
  }
}

resource "aws_apigatewayv2_route" "default" {
  api_id    = aws_apigatewayv2_api.chat.id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.function.id}"
}

resource "aws_apigatewayv2_route_response" "all" {
  api_id             = aws_apigatewayv2_api.chat.id
  route_id           = aws_apigatewayv2_route.default.id
  route_response_key = "$default"
}

resource "aws_apigatewayv2_deployment" "one" {
  api_id      = aws_apigatewayv2_api.chat.id
  description = "the second"
  triggers    = { redeployment = "2" }
  depends_on  = [aws_apigatewayv2_route.connect, aws_apigatewayv2_route.default]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_apigatewayv2_stage" "all" {
  api_id          = aws_apigatewayv2_api.chat.id
  name            = "all"
  deployment_id   = aws_apigatewayv2_deployment.one.id
  description     = "a stage, changed"
  stage_variables = { Var1 = "Value3" }

  access_log_settings {
    destination_arn = "arn:aws:logs:us-east-1:000000000000:log-group:access"
    format          = "$context.requestId"
  }
  default_route_settings {
    data_trace_enabled       = false
    detailed_metrics_enabled = true
    logging_level            = "INFO"
    throttling_burst_limit   = 1111
    throttling_rate_limit    = 9999
  }
  route_settings {
    route_key              = "$default"
    throttling_burst_limit = 1111
    throttling_rate_limit  = 9999
  }
  route_settings {
    route_key     = "$connect"
    logging_level = "INFO"
  }
  route_settings {
    route_key = "$disconnect"
  }
}

resource "aws_apigatewayv2_stage" "early" {
  api_id = aws_apigatewayv2_api.all.id
  name   = "early"
}

resource "aws_apigatewayv2_stage" "auto" {
  api_id      = aws_apigatewayv2_api.chat.id
  name        = "auto"
  auto_deploy = true
}

resource "aws_api_gateway_account" "this" {
}
