terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

resource "aws_dynamodb_table" "connections" {
  name         = "connections"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "connectionId"

  attribute {
    name = "connectionId"
    type = "S"
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name               = "presence"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "table" {
  role = aws_iam_role.function.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Scan"]
      Resource = aws_dynamodb_table.connections.arn
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.function.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_function" "presence" {
  function_name    = "presence"
  role             = aws_iam_role.function.arn
  runtime          = "nodejs20.x"
  handler          = "index.handler"
  filename         = "function.zip"
  source_code_hash = filebase64sha256("function.zip")

  environment {
    variables = { TABLE = aws_dynamodb_table.connections.name }
  }
}

resource "aws_lambda_permission" "gateway" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.presence.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.presence.execution_arn}/*/*"
}

resource "aws_apigatewayv2_api" "presence" {
  name                       = "presence"
  protocol_type              = "WEBSOCKET"
  route_selection_expression = "$request.body.action"
}

resource "aws_apigatewayv2_integration" "presence" {
  api_id           = aws_apigatewayv2_api.presence.id
  integration_type = "AWS_PROXY"
  integration_uri  = aws_lambda_function.presence.invoke_arn
}

resource "aws_apigatewayv2_route" "presence" {
  for_each = toset(["$connect", "$disconnect"])

  api_id    = aws_apigatewayv2_api.presence.id
  route_key = each.key
  target    = "integrations/${aws_apigatewayv2_integration.presence.id}"
}

resource "aws_apigatewayv2_route" "count" {
  api_id                              = aws_apigatewayv2_api.presence.id
  route_key                           = "count"
  target                              = "integrations/${aws_apigatewayv2_integration.presence.id}"
  route_response_selection_expression = "$default"
}

# Without it the client gets no answer.
resource "aws_apigatewayv2_route_response" "count" {
  api_id             = aws_apigatewayv2_api.presence.id
  route_id           = aws_apigatewayv2_route.count.id
  route_response_key = "$default"
}

# A deployment is what the API is at that moment: it comes last, and anew when
# this file changes.
resource "aws_apigatewayv2_deployment" "presence" {
  api_id     = aws_apigatewayv2_api.presence.id
  triggers   = { file = filesha256("main.tf") }
  depends_on = [aws_apigatewayv2_route.presence, aws_apigatewayv2_route_response.count]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_apigatewayv2_stage" "dev" {
  api_id        = aws_apigatewayv2_api.presence.id
  name          = "dev"
  deployment_id = aws_apigatewayv2_deployment.presence.id
}
