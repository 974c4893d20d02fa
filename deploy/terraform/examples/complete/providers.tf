locals {
  emulated = var.endpoint != null
}

provider "aws" {
  region = var.region

  # On an emulator: dummy keys, no lookups outside, and few retries, as a call that it does not
  # know would be retried 25 times otherwise.
  access_key                  = local.emulated ? "emulator" : null
  secret_key                  = local.emulated ? "emulator" : null
  skip_credentials_validation = local.emulated
  skip_metadata_api_check     = local.emulated ? "true" : null
  s3_use_path_style           = local.emulated
  max_retries                 = local.emulated ? 2 : null

  dynamic "endpoints" {
    for_each = local.emulated ? [var.endpoint] : []

    content {
      applicationautoscaling = endpoints.value
      cloudwatch             = endpoints.value
      dynamodb               = endpoints.value
      ec2                    = endpoints.value
      ecr                    = endpoints.value
      ecs                    = endpoints.value
      events                 = endpoints.value
      iam                    = endpoints.value
      logs                   = endpoints.value
      s3                     = endpoints.value
      scheduler              = endpoints.value
      secretsmanager         = endpoints.value
      sfn                    = endpoints.value
      sns                    = endpoints.value
      sqs                    = endpoints.value
      sts                    = endpoints.value
    }
  }

  default_tags {
    tags = { application = "genesys-event-worker", deployment = var.name }
  }
}
