# A queue for each job, their dead-letter queue, and the one for what EventBridge could not deliver.

locals {
  two_weeks_seconds = 14 * 86400

  queue_arns = { for job, queue in aws_sqs_queue.events : job => queue.arn }
  # SQS takes ten sources by name.
  redrive_from = length(local.queue_arns) <= 10 ? { redrivePermission = "byQueue", sourceQueueArns = values(local.queue_arns) } : { redrivePermission = "allowAll", sourceQueueArns = null }

  tls_only = {
    for name, arn in merge(local.queue_arns, { "dead letters" = aws_sqs_queue.dead_letters.arn, undelivered = aws_sqs_queue.undelivered.arn }) : name => {
      Sid       = "OnlyOverTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
  }
  rules_to = merge(
    { for job in keys(local.jobs) : job => [for target in local.targets : target.rule if target.job == job] },
    { undelivered = keys(local.rules) },
  )
  # The dead-letter queue has no use for it: no rule sends there. Nor has one without a rule.
  from_rules = {
    for name, rules in local.rules_to : name => [{
      Sid       = "FromOurRules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = name == "undelivered" ? aws_sqs_queue.undelivered.arn : local.queue_arns[name]
      Condition = {
        ArnEquals    = { "aws:SourceArn" = sort([for rule in rules : local.rules[rule].arn]) }
        StringEquals = { "aws:SourceAccount" = local.account_id }
      }
    }] if length(rules) > 0
  }
}

resource "aws_sqs_queue" "events" {
  for_each = local.jobs

  name                       = "${var.name}-${each.key}"
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
  queue_url            = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode({ for key, value in local.redrive_from : key => value if value != null })
}

resource "aws_sqs_queue_policy" "events" {
  for_each = local.jobs

  queue_url = aws_sqs_queue.events[each.key].id
  policy    = jsonencode({ Version = "2012-10-17", Statement = concat(lookup(local.from_rules, each.key, []), [local.tls_only[each.key]]) })
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = jsonencode({ Version = "2012-10-17", Statement = [local.tls_only["dead letters"]] })
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy    = jsonencode({ Version = "2012-10-17", Statement = concat(lookup(local.from_rules, "undelivered", []), [local.tls_only["undelivered"]]) })
}
