# From Genesys Cloud (and from our own bus) to the queues of the jobs.

locals {
  # What the jobs declare: `worker jobs --json`.
  known_jobs = concat(jsondecode(file(coalesce(var.jobs_file, "${path.module}/../jobs.json"))).jobs, var.additional_jobs)

  # Those that are on, as the worker sees it: named in HANDLERS, or else with all settings that they
  # require. A queue of a job that is off would fill for ever.
  handlers = [for name in split(",", lookup(var.settings, "HANDLERS", "")) : trimspace(name) if trimspace(name) != ""]
  given    = concat(keys(var.settings), tolist(var.secret_settings), local.decided_here)
  jobs = {
    for job in local.known_jobs : job.name => merge(job, {
      topics = distinct(concat(job.topics, lookup(var.additional_topics, job.name, [])))
    })
    if length(local.handlers) > 0 ? contains(local.handlers, job.name) : length(setsubtract(job.requires, local.given)) == 0
  }

  # A rule for each set of jobs that want the same topics, with a target for each: one rule for each
  # job would need one more for each topic that two of them want. The detail-type carries a literal
  # `{id}`; the real id is in detail.eventBody.
  jobs_of_topic = {
    for topic in distinct(flatten([for job in local.jobs : job.topics])) :
    topic => [for name, job in local.jobs : name if contains(job.topics, topic)]
  }
  genesys_topics = { for topic, names in local.jobs_of_topic : join("-", names) => topic... }
  jobs_of_rule   = { for names in distinct(values(local.jobs_of_topic)) : join("-", names) => names }

  targets = merge(
    { for one in flatten([for rule, names in local.jobs_of_rule : [for name in names : { rule = rule, job = name }]]) : "${one.rule}/${one.job}" => one },
    { for name in ["reports"] : "report-due/${name}" => { rule = "report-due", job = name } if contains(keys(local.jobs), name) },
  )

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
  rules       = merge(aws_cloudwatch_event_rule.genesys, { for rule in aws_cloudwatch_event_rule.report_due : "report-due" => rule })
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
  description    = "Topics of ${join(", ", local.jobs_of_rule[each.key])} to their queues"
  event_bus_name = local.bus_name
  event_pattern = jsonencode({
    source      = local.source_pattern
    detail-type = each.value
  })

  lifecycle {
    precondition {
      condition     = length(local.jobs_of_rule[each.key]) <= 5
      error_message = "EventBridge takes five targets for a rule, and more jobs than that want one topic."
    }
  }
}

# Reports on demand. The scheduled ones go to the queue without a bus.
resource "aws_cloudwatch_event_rule" "report_due" {
  count = contains(keys(local.jobs), "reports") ? 1 : 0

  name           = "${var.name}-report-due"
  description    = "report.due to the queue of the reports"
  event_bus_name = var.own_bus_name
  event_pattern = jsonencode({
    source      = [local.report_source]
    detail-type = ["report.due"]
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  for_each = local.targets

  rule           = local.rules[each.value.rule].name
  event_bus_name = local.rules[each.value.rule].event_bus_name
  target_id      = each.value.job
  arn            = aws_sqs_queue.events[each.value.job].arn

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
