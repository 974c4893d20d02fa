# From Genesys Cloud (and from our own bus) to the queue.

locals {
  # What the jobs declare: `worker jobs --json`.
  jobs = jsondecode(file(coalesce(var.jobs_file, "${path.module}/../jobs.json"))).jobs

  # A rule for each set of jobs that want the same topics: one rule for each job would bring an event
  # twice that two of them want. The detail-type carries a literal `{id}`; the real id is in
  # detail.eventBody.
  genesys_topics = {
    for topic in distinct(flatten(local.jobs[*].topics)) :
    join("-", [for job in local.jobs : job.name if contains(job.topics, topic)]) => topic...
  }

  # One organisation when its source is known, any of Genesys Cloud's otherwise.
  genesys_sources = concat(
    var.partner_event_source_name == null ? [jsonencode({ prefix = "aws.partner/genesys.com" })] : [jsonencode(var.partner_event_source_name)],
    [for source in var.additional_event_sources : jsonencode(source)],
  )
  source_pattern = [for source in local.genesys_sources : jsondecode(source)]

  makes_bus = var.event_bus_name == null
  bus_name  = local.makes_bus ? aws_cloudwatch_event_bus.genesys[0].name : var.event_bus_name
  bus_arn   = local.makes_bus ? aws_cloudwatch_event_bus.genesys[0].arn : data.aws_cloudwatch_event_bus.existing[0].arn

  own_bus_arn = data.aws_cloudwatch_event_bus.own.arn
  rules = merge(aws_cloudwatch_event_rule.genesys, {
    report-due = aws_cloudwatch_event_rule.report_due
  })
}

# With a partner source, bus and source must have one name; making the bus activates the source.
resource "aws_cloudwatch_event_bus" "genesys" {
  count = local.makes_bus ? 1 : 0

  name              = coalesce(var.partner_event_source_name, var.name)
  event_source_name = var.partner_event_source_name
}

data "aws_cloudwatch_event_bus" "existing" {
  count = local.makes_bus ? 0 : 1

  name = var.event_bus_name
}

data "aws_cloudwatch_event_bus" "own" {
  name = var.own_bus_name
}

resource "aws_cloudwatch_event_rule" "genesys" {
  for_each = local.genesys_topics

  name           = substr("${var.name}-${each.key}", 0, 64)
  description    = "Topics of ${each.key} to the worker's queue"
  event_bus_name = local.bus_name
  event_pattern = jsonencode({
    source      = local.source_pattern
    detail-type = each.value
  })
}

# Reports on demand. The scheduled ones go to the queue without a bus.
resource "aws_cloudwatch_event_rule" "report_due" {
  name           = "${var.name}-report-due"
  description    = "report.due to the worker's queue"
  event_bus_name = var.own_bus_name
  event_pattern = jsonencode({
    source      = [local.report_source]
    detail-type = ["report.due"]
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  for_each = local.rules

  rule           = each.value.name
  event_bus_name = each.value.event_bus_name
  target_id      = "queue"
  arn            = aws_sqs_queue.events.arn

  # Without a dead-letter queue an event that cannot be delivered for a day is dropped.
  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}

# For a replay after a mistake of ours. Replayed events come back through the rules above.
resource "aws_cloudwatch_event_archive" "genesys" {
  count = var.archive_days > 0 ? 1 : 0

  name             = var.name
  description      = "What the worker is given, for replays"
  event_source_arn = local.bus_arn
  retention_days   = var.archive_days
  event_pattern = jsonencode({
    source      = local.source_pattern
    detail-type = flatten(values(local.genesys_topics))
  })
}
