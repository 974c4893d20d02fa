# One job of another package, alone, from an image of one's own (worker/jobs/README.md). Topic, rule, queue,
# alarms and the permission to write to the stream come from its entry in jobs.json.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

provider "aws" {
  region = "eu-west-1"
}

resource "aws_kinesis_stream" "presence" {
  name = "presence"

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

module "worker" {
  source = "../.."

  name                      = "presence"
  partner_event_source_name = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/prod"
  genesys_environment       = "mypurecloud.ie"
  secret_arn                = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:genesys-events-AbCdEf"
  image                     = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/worker-with-presence:1.4.0"
  image_repository_arn      = "arn:aws:ecr:eu-west-1:111122223333:repository/worker-with-presence"

  # What `worker jobs --json` prints where it is installed.
  additional_jobs = [for job in jsondecode(file("${path.module}/jobs.json")).jobs : job if job.name == "presence"]
  settings = {
    HANDLERS        = "presence"
    PRESENCE_STREAM = aws_kinesis_stream.presence.name
  }
  # What its entry does not say.
  additional_topics = { presence = ["v2.users.{id}.routingStatus"] }
  additional_policy_json = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "cloudwatch:PutMetricData", Resource = "*" }]
  })

  vpc_id     = "vpc-0a000000000000001"
  subnet_ids = ["subnet-0a000000000000001", "subnet-0a000000000000002"]
}
