// The chat as a CDK app: `npm install && npx cdk synth` makes cdk.out of it.
import { App, CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import { WebSocketApi, WebSocketStage } from "aws-cdk-lib/aws-apigatewayv2";
import { WebSocketLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import { AttributeType, BillingMode, Table } from "aws-cdk-lib/aws-dynamodb";
import { Rule, RuleTargetInput, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { Runtime } from "aws-cdk-lib/aws-lambda";
import { NodejsFunction } from "aws-cdk-lib/aws-lambda-nodejs";
import type { Construct } from "constructs";

class Chat extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const connections = new Table(this, "Connections", {
      partitionKey: { name: "connectionId", type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const make = (id: string, handler: string) => {
      const made = new NodejsFunction(this, id, {
        entry: "lambda/chat.ts",
        handler,
        runtime: Runtime.NODEJS_24_X,
        timeout: Duration.seconds(10),
        bundling: { sourceMap: true },
        environment: { TABLE_NAME: connections.tableName, NODE_OPTIONS: "--enable-source-maps" },
      });
      connections.grantReadWriteData(made);
      return made;
    };

    const send = make("Send", "send");
    const hello = make("Hello", "hello");
    const api = new WebSocketApi(this, "Api", {
      connectRouteOptions: { integration: new WebSocketLambdaIntegration("Connect", make("Connect", "connect")) },
      disconnectRouteOptions: { integration: new WebSocketLambdaIntegration("Disconnect", make("Disconnect", "disconnect")) },
    });
    api.addRoute("sendmessage", { integration: new WebSocketLambdaIntegration("Send", send) });
    const stage = new WebSocketStage(this, "Stage", { webSocketApi: api, stageName: "dev", autoDeploy: true });

    for (const pushes of [send, hello]) stage.grantManagementApiAccess(pushes);
    hello.addEnvironment("ENDPOINT", stage.callbackUrl);

    // Nobody asks for this one: a rule fires it, and it pushes to every client.
    new Rule(this, "EveryMinute", {
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [new LambdaFunction(hello, { event: RuleTargetInput.fromObject({ text: "Hello from Lambda" }) })],
    });
    new CfnOutput(this, "Url", { value: stage.url });
  }
}

new Chat(new App(), "TidegateChat");
