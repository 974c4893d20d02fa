# The least: a network and a secret that are there, and the settings of the jobs that are wanted.

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

module "worker" {
  source = "../.."

  partner_event_source_name = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/prod"
  genesys_environment       = "mypurecloud.ie"
  secret_arn                = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:genesys-events-AbCdEf"

  # voice and, with the settings that the module makes itself, workflow and reports.
  settings = { GENESYS_ACTION_ID = "custom_-_0c0ffee0-0000-4000-8000-000000000001" }

  vpc_id     = "vpc-0a000000000000001"
  subnet_ids = ["subnet-0a000000000000001", "subnet-0a000000000000002"]
}
