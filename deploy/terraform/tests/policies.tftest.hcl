# Runs whose states hold the policies as they are written: deploy/tests/iam and deploy/tests/policies
# read them there. The first two differ in where events are forwarded, and on which bus.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  genesys_environment = "mypurecloud.ie"
  secret_arn          = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:genesys-AbCdEf"
  vpc_id              = "vpc-0a000000000000001"
  subnet_ids          = ["subnet-0a000000000000001"]
  forward_target_arn  = "arn:aws:kinesis:eu-west-1:123456789012:stream/events"
  settings = { # of all jobs: the role has what those need that are on
    GENESYS_ACTION_ID = "custom_-_1"
    GENESYS_FLOW_ID   = "0f100000-0000-4000-8000-000000000001"
    CRM_API_ENDPOINT  = "https://crm.example/contacts"
    CRM_WEBHOOK_URL   = "https://crm.example/hook"
    FORWARD_TYPES     = "*"
    FORWARD_TO        = "kinesis:events"
  }
}

run "firehose" {
  variables {
    forward_target_arn = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/events"
  }
}

run "bus" {
  variables {
    forward_target_arn = "arn:aws:events:eu-west-1:123456789012:event-bus/own"
    own_bus_name       = "own"
  }
  override_data {
    target = data.aws_cloudwatch_event_bus.own
    values = { arn = "arn:aws:events:eu-west-1:123456789012:event-bus/own" }
  }
}

run "policies" {
  assert {
    condition     = can(jsondecode(aws_iam_role_policy.task.policy)) && can(jsondecode(aws_iam_policy.operator.policy))
    error_message = "A policy is no JSON."
  }
}
