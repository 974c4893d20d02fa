# The queue, its dead-letter queue, and the one for what EventBridge could not deliver.

locals {
  two_weeks_seconds = 14 * 86400

  queue_arns = {
    events       = aws_sqs_queue.events.arn
    dead_letters = aws_sqs_queue.dead_letters.arn
    undelivered  = aws_sqs_queue.undelivered.arn
  }
  tls_only = {
    for name, arn in local.queue_arns : name => {
      Sid       = "OnlyOverTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
  }
  # The dead-letter queue has no use for it: no rule sends there.
  from_rules = {
    for name, arn in local.queue_arns : name => {
      Sid       = "FromOurRules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = arn
      Condition = {
        ArnEquals    = { "aws:SourceArn" = sort([for rule in local.rules : rule.arn]) }
        StringEquals = { "aws:SourceAccount" = local.account_id }
      }
    }
  }
}

resource "aws_sqs_queue" "events" {
  name                       = "${var.name}-events"
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = var.message_retention_days * 86400
  receive_wait_time_seconds  = 20
  # SSE-SQS, not KMS: with a KMS key, EventBridge fails silently until the key's policy lets it in.
  sqs_managed_sse_enabled = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })
}

# What the worker dead-letters, with the reason, and what SQS moves after max_receive_count receives.
resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = local.two_weeks_seconds
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-undelivered"
  message_retention_seconds = local.two_weeks_seconds
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events.arn]
  })
}

resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.id
  policy    = jsonencode({ Version = "2012-10-17", Statement = [local.from_rules["events"], local.tls_only["events"]] })
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = jsonencode({ Version = "2012-10-17", Statement = [local.tls_only["dead_letters"]] })
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy    = jsonencode({ Version = "2012-10-17", Statement = [local.from_rules["undelivered"], local.tls_only["undelivered"]] })
}
