# All that this project has of Tidegate: without this file it is for AWS.

variable "endpoint" {
  type    = string
  default = "http://localhost:8420"
}

provider "aws" {
  region     = "us-east-1"
  access_key = "tidegate"
  secret_key = "tidegate"

  endpoints {
    apigatewayv2 = var.endpoint
    dynamodb     = var.endpoint
    iam          = var.endpoint
    lambda       = var.endpoint
    sts          = var.endpoint
  }
}
