// An app for one account: its templates name that account where others have a
// pseudo parameter.
import { App, CfnOutput, Stack, type StackProps } from "aws-cdk-lib";
import { WebSocketApi, WebSocketStage } from "aws-cdk-lib/aws-apigatewayv2";
import { WebSocketLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import { AttributeType, Table } from "aws-cdk-lib/aws-dynamodb";
import { Code, Function, Runtime } from "aws-cdk-lib/aws-lambda";
import type { Construct } from "constructs";

class Account extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const table = new Table(this, "Table", { partitionKey: { name: "id", type: AttributeType.STRING } });
    const handler = new Function(this, "Handler", {
      runtime: Runtime.NODEJS_24_X,
      handler: "index.handler",
      code: Code.fromInline("exports.handler = async (event, context) => ({ statusCode: 200, body: [context.invokedFunctionArn, process.env.TABLE, process.env.ACCOUNT].join(' ') })"),
      environment: { TABLE: table.tableArn, ACCOUNT: this.account },
    });
    const answer = new WebSocketLambdaIntegration("Answer", handler);
    const api = new WebSocketApi(this, "Api", { connectRouteOptions: { integration: answer } });
    api.addRoute("where", { integration: answer, returnResponse: true });
    const stage = new WebSocketStage(this, "Stage", { webSocketApi: api, stageName: "dev", autoDeploy: true });
    new CfnOutput(this, "Url", { value: stage.url });
    new CfnOutput(this, "Api4Signed", { value: api.arnForExecuteApiV2() });
  }
}

new Account(new App(), "TidegateAccount", { env: { account: "111122223333", region: "eu-west-1" } });
