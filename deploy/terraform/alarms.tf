# What a person should know of. Rules on the worker's own metrics are in deploy/monitoring.

locals {
  alarms = merge(
    {
      dead-lettered-messages = {
        description = "Messages were dead-lettered; each carries its reason. `worker dlq list`."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        statistic   = "Maximum"
        threshold   = 0
        dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
      }
      undelivered-events = {
        description = "EventBridge or the Scheduler could not deliver to the queue: usually its policy."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        statistic   = "Maximum"
        threshold   = 0
        dimensions  = { QueueName = aws_sqs_queue.undelivered.name }
      }
      no-running-task = {
        description = "No task of the worker runs. Check the service's events: image, secret, settings."
        namespace   = "ECS/ContainerInsights"
        metric      = "RunningTaskCount"
        statistic   = "Minimum"
        comparison  = "LessThanThreshold"
        threshold   = 1
        periods     = 5
        missing     = "breaching" # without a task there is no metric either
        dimensions  = { ClusterName = local.cluster_name, ServiceName = aws_ecs_service.worker.name }
      }
      failed-workflows = {
        description = "Executions of the enrichment workflow failed."
        namespace   = "AWS/States"
        metric      = "ExecutionsFailed"
        statistic   = "Sum"
        threshold   = 0
        dimensions  = { StateMachineArn = aws_sfn_state_machine.workflow.arn }
      }
    },
    {
      for job, queue in aws_sqs_queue.events : "oldest-message-${job}" => {
        description = "The queue of ${job} is not worked off fast enough, or not at all. Ask /status of a task."
        namespace   = "AWS/SQS"
        metric      = "ApproximateAgeOfOldestMessage"
        statistic   = "Maximum"
        threshold   = var.oldest_message_alarm_seconds
        periods     = 5
        dimensions  = { QueueName = queue.name }
      }
    },
    {
      for name, rule in local.rules : "failed-invocations-${name}" => {
        description = "EventBridge gave up on events for the queue."
        namespace   = "AWS/Events"
        metric      = "FailedInvocations"
        statistic   = "Sum"
        threshold   = 0
        # Rules of the default bus are identified by their name alone.
        dimensions = merge({ RuleName = rule.name }, { for bus in [rule.event_bus_name] : "EventBusName" => bus if bus != "default" })
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "worker" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = try(each.value.comparison, "GreaterThanThreshold")
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = try(each.value.periods, 1)
  treat_missing_data  = try(each.value.missing, "notBreaching")
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

# Not by age alone: SQS leaves messages that were received three times out of it, so that a backlog of
# retries, or one that waits for the Genesys budget, does not show. Such messages are in flight.
resource "aws_cloudwatch_metric_alarm" "backlog" {
  for_each = aws_sqs_queue.events

  alarm_name          = "${var.name}-backlog-${each.key}"
  alarm_description   = "Messages of ${each.key} stand in its queue, visible or in flight. Ask /status of a task."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.backlog_alarm_messages
  evaluation_periods  = 15
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions

  dynamic "metric_query" {
    for_each = { visible = "ApproximateNumberOfMessagesVisible", in_flight = "ApproximateNumberOfMessagesNotVisible" }

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value
        dimensions  = { QueueName = each.value.name }
        stat        = "Maximum"
        period      = 60
      }
    }
  }

  metric_query {
    id          = "backlog"
    label       = "Messages, visible and in flight"
    expression  = "visible + in_flight"
    return_data = true
  }
}
