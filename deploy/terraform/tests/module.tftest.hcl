# What the module promises, without AWS: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  genesys_environment = "mypurecloud.ie"
  secret_arn          = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:genesys-AbCdEf"
  vpc_id              = "vpc-0a000000000000001"
  subnet_ids          = ["subnet-0a000000000000001", "subnet-0a000000000000002"]
  settings = {
    GENESYS_ACTION_ID = "custom_-_1"
    GENESYS_FLOW_ID   = "0f100000-0000-4000-8000-000000000001"
    CRM_API_ENDPOINT  = "https://crm.example/contacts"
    CRM_WEBHOOK_URL   = "https://crm.example/hook"
  }
}

run "defaults" {
  assert {
    condition     = toset(flatten([for rule in aws_cloudwatch_event_rule.genesys : jsondecode(rule.event_pattern)["detail-type"]])) == toset(["v2.detail.events.conversation.{id}.customer.start", "v2.detail.events.conversation.{id}.customer.end", "v2.speechandtextanalytics.conversation.{id}.sentiment"])
    error_message = "The rules name other topics."
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_event_rule.genesys)) == toset(["attributes", "voice", "sentiment-workflow"])
    error_message = "There is another rule than one for each set of jobs: an event would come twice."
  }
  assert {
    condition     = alltrue([for rule in aws_cloudwatch_event_rule.genesys : jsondecode(rule.event_pattern).source[0].prefix == "aws.partner/genesys.com"])
    error_message = "The rules take events of others than Genesys Cloud."
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_event_target.queue)) == toset(["attributes/attributes", "voice/voice", "sentiment-workflow/workflow", "sentiment-workflow/sentiment", "report-due/reports"]) && alltrue([for key, target in aws_cloudwatch_event_target.queue : target.arn == aws_sqs_queue.events[local.targets[key].job].arn])
    error_message = "A job's events do not come to its queue."
  }
  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.queue : target.dead_letter_config[0].arn == aws_sqs_queue.undelivered.arn && target.retry_policy[0].maximum_event_age_in_seconds == 86400])
    error_message = "A target drops what it cannot deliver."
  }
  assert {
    condition     = one(aws_cloudwatch_event_archive.genesys[*].retention_days) == 14
    error_message = "There is no archive."
  }
  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.events), [aws_sqs_queue.dead_letters, aws_sqs_queue.undelivered]) : queue.sqs_managed_sse_enabled])
    error_message = "A queue is not encrypted."
  }
  assert {
    condition     = { for job, queue in aws_sqs_queue.events : job => queue.name } == { for job in ["voice", "attributes", "workflow", "sentiment", "reports"] : job => "genesys-events-${job}" }
    error_message = "There is another queue than one for each job that is on."
  }
  assert {
    condition     = local.environment["SQS_QUEUE_URL"] == join(",", [for job in sort(keys(aws_sqs_queue.events)) : "${job}=${aws_sqs_queue.events[job].url}"])
    error_message = "The worker takes the events of its jobs from other queues."
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.events : jsondecode(queue.redrive_policy).maxReceiveCount == 50 && jsondecode(queue.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dead_letters.arn && aws_sqs_queue.dead_letters.message_retention_seconds > queue.message_retention_seconds])
    error_message = "Redrive or retention are wrong."
  }
  assert {
    condition     = alltrue([for policy in concat(values(aws_sqs_queue_policy.events), [aws_sqs_queue_policy.dead_letters, aws_sqs_queue_policy.undelivered]) : anytrue([for statement in jsondecode(policy.policy).Statement : statement.Effect == "Deny" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"])])
    error_message = "A queue can be used without TLS."
  }
  assert {
    condition     = alltrue([for policy in concat(values(aws_sqs_queue_policy.events), [aws_sqs_queue_policy.undelivered]) : alltrue([for statement in jsondecode(policy.policy).Statement : length(statement.Condition.ArnEquals["aws:SourceArn"]) == (policy == aws_sqs_queue_policy.undelivered ? 4 : 1) && statement.Condition.StringEquals["aws:SourceAccount"] == "123456789012" if statement.Effect == "Allow"])])
    error_message = "A queue takes messages from others than our rules."
  }
  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.records, aws_dynamodb_table.idempotency] : table.ttl[0].attribute_name == "expiresAt" && table.ttl[0].enabled && table.point_in_time_recovery[0].enabled && table.billing_mode == "PAY_PER_REQUEST" && table.deletion_protection_enabled])
    error_message = "A table lacks TTL, recovery, on-demand billing or protection."
  }
  assert {
    condition     = aws_dynamodb_table.records.hash_key == "conversationId" && aws_dynamodb_table.records.range_key == "eventTimestamp" && aws_dynamodb_table.idempotency.hash_key == "id" && aws_dynamodb_table.idempotency.range_key == null
    error_message = "A table has other keys than the worker uses."
  }
  assert {
    condition     = [for index in aws_dynamodb_table.idempotency.global_secondary_index : [index.name, index.hash_key, index.projection_type]] == [["conversationId-index", "conversationId", "KEYS_ONLY"]]
    error_message = "worker trace finds no conversation in the idempotency store."
  }
  assert {
    condition     = length(aws_dynamodb_table.records.global_secondary_index) == 0 && length(aws_iam_role_policy.additional) == 0
    error_message = "There are indexes or permissions that were not asked for."
  }
  assert {
    condition     = aws_sfn_state_machine.workflow.type == "STANDARD" && !aws_sfn_state_machine.workflow.logging_configuration[0].include_execution_data
    error_message = "The state machine is not STANDARD, or logs call details."
  }
  assert {
    condition     = !strcontains(aws_sfn_state_machine.workflow.definition, "lambda") && !strcontains(aws_sfn_state_machine.workflow.definition, "_failed")
    error_message = "Steps without a function are not placeholders."
  }
  assert {
    condition     = alltrue([for event in values(output.report_events) : strcontains(event, "<aws.scheduler.scheduled-time>") && strcontains(event, "<aws.scheduler.execution-id>")])
    error_message = "The Scheduler's keywords are not as it knows them."
  }
  assert {
    condition     = aws_scheduler_schedule.report["daily"].schedule_expression == "cron(0 2 * * ? *)" && aws_scheduler_schedule.report["daily"].schedule_expression_timezone == "UTC"
    error_message = "The daily report is not due at 02:00."
  }
  assert {
    condition     = aws_s3_bucket_public_access_block.reports.restrict_public_buckets && aws_s3_bucket_public_access_block.reports.block_public_policy && !aws_s3_bucket.reports.force_destroy
    error_message = "The reports could become public, or be destroyed."
  }
  assert {
    condition     = aws_ecr_repository.worker.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.worker.image_scanning_configuration[0].scan_on_push
    error_message = "Images can be replaced under their tag, or are not scanned."
  }
  assert {
    condition     = { for metric in aws_appautoscaling_policy.backlog["1"].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : metric.id => metric.expression if metric.expression != null } == { backlog = "visible_0 + in_flight_0", fed = "FILL(useful, 0) * 30", backlog_per_task = "IF(fed > 0 AND fed < backlog, fed, backlog) / tasks" }
    error_message = "Scaling does not know what the Genesys budget keeps busy."
  }
  assert {
    condition     = one([for metric in aws_appautoscaling_policy.backlog["1"].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : one(metric.metric_stat[0].metric[0].dimensions).value if metric.id == "useful"]) == local.environment["OTEL_SERVICE_NAME"]
    error_message = "Scaling asks for another series than the worker's."
  }
  assert {
    condition     = startswith(local.environment["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://${yamldecode(local.collector_config).receivers.otlp.protocols.http.endpoint}") && local.environment["OTEL_TRACES_EXPORTER"] == "none"
    error_message = "The worker sends to another address than the collector's, or what that does not take."
  }
  assert {
    condition     = yamldecode(local.collector_config).exporters.awsemf.log_group_name == aws_cloudwatch_log_group.metrics[0].name && yamldecode(local.collector_config).exporters.awsemf.namespace == local.metrics_namespace
    error_message = "Metrics go to another log group or namespace."
  }
  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.worker.container_definitions)) == 2 && !local.collectors[0].essential && local.container.dependsOn[0].containerName == local.collectors[0].name
    error_message = "The collector is not there, or the task falls with it."
  }
  assert {
    condition     = aws_ecs_task_definition.worker.cpu == "256" && aws_ecs_task_definition.worker.memory == "512" && aws_ecs_task_definition.worker.runtime_platform[0].cpu_architecture == "ARM64"
    error_message = "A task is larger than it needs to be."
  }
}

run "task" {
  variables {
    drain_seconds     = 80
    poll_wait_seconds = 20
    collector         = false
  }

  assert {
    condition     = local.container.readonlyRootFilesystem && local.container.user != "0:0" && local.container.linuxParameters.capabilities.drop[0] == "ALL"
    error_message = "The container has more permissions than it needs."
  }
  assert {
    condition     = local.container.stopTimeout >= 80 + 20
    error_message = "The task is killed before it has drained."
  }
  assert {
    condition     = toset([for secret in local.container.secrets : secret.valueFrom]) == toset(["${var.secret_arn}:GENESYS_CLIENT_ID::", "${var.secret_arn}:GENESYS_CLIENT_SECRET::"])
    error_message = "The secrets come from somewhere else."
  }
  assert {
    condition     = length([for entry in local.container.environment : entry if strcontains(entry.name, "SECRET") || strcontains(entry.name, "TOKEN")]) == 0
    error_message = "A secret stands in the environment."
  }
  assert {
    condition     = local.environment["AWS_REGION"] == local.region
    error_message = "Who takes the tasks' environment from the output does not get their region."
  }
  assert {
    condition     = local.environment["GENESYS_REQUESTS_PER_MINUTE"] == "240" && local.environment["GENESYS_FLEET_REQUESTS_PER_MINUTE"] == "300" && local.environment["GENESYS_ACTION_ID"] == "custom_-_1"
    error_message = "300 for all tasks, 80 % of it for one."
  }
  assert {
    condition     = aws_ecs_service.worker.deployment_circuit_breaker[0].enable && aws_ecs_service.worker.deployment_circuit_breaker[0].rollback
    error_message = "A bad image would be tried for ever."
  }
  assert {
    condition     = !aws_ecs_service.worker.network_configuration[0].assign_public_ip && length(aws_vpc_security_group_ingress_rule.metrics) == 0
    error_message = "Tasks can be reached."
  }
  assert {
    condition     = aws_appautoscaling_target.worker.min_capacity == 1 && aws_appautoscaling_target.worker.max_capacity == 10 && aws_appautoscaling_target.worker.resource_id == "service/genesys-events/genesys-events"
    error_message = "Scaling has other bounds, or is about another service."
  }
  # CloudWatch takes ten metrics: four queues to a policy.
  assert {
    condition     = [for policy in aws_appautoscaling_policy.backlog : length([for metric in policy.target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : metric if metric.expression == null])] == [9, 3]
    error_message = "A policy has more metrics than CloudWatch takes, or a queue has none."
  }
  assert {
    condition     = { for metric in aws_appautoscaling_policy.backlog["1"].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : metric.id => metric.expression if metric.expression != null } == { backlog = "visible_0 + in_flight_0", backlog_per_task = "backlog / tasks" }
    error_message = "Scaling is not by the backlog of each task."
  }
  assert {
    condition     = { for metric in aws_appautoscaling_policy.backlog["1"].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : metric.id => metric.metric_stat[0].metric[0].metric_name if metric.expression == null } == { visible_0 = "ApproximateNumberOfMessagesVisible", in_flight_0 = "ApproximateNumberOfMessagesNotVisible", tasks = "RunningTaskCount" }
    error_message = "The backlog is not what KEDA counts: visible messages and those in flight."
  }
  assert {
    condition     = length(local.collectors) == 0 && length(aws_iam_role_policy.collector) == 0 && !contains(keys(local.environment), "OTEL_EXPORTER_OTLP_ENDPOINT")
    error_message = "There is a collector that was not asked for."
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.worker)) == toset(["dead-lettered-messages", "undelivered-events", "no-running-task", "failed-workflows", "failed-invocations-attributes", "failed-invocations-voice", "failed-invocations-sentiment-workflow", "failed-invocations-report-due", "oldest-message-attributes", "oldest-message-reports", "oldest-message-sentiment", "oldest-message-voice", "oldest-message-workflow"])
    error_message = "There are other alarms."
  }
  assert {
    condition     = { for job, alarm in aws_cloudwatch_metric_alarm.backlog : job => one([for query in alarm.metric_query : query.expression if query.return_data]) } == { for job in keys(local.jobs) : job => "visible + in_flight" }
    error_message = "A queue has no alarm that sees what is in flight."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.worker["no-running-task"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.worker["failed-invocations-report-due"].dimensions == tomap({ RuleName = "genesys-events-report-due" })
    error_message = "An alarm uses the wrong metric."
  }
  # One star each in the roles of ECS and Step Functions: ecr:GetAuthorizationToken and log delivery know no resources.
  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.task.policy).Statement : statement.Resource != "*" && alltrue([for action in flatten([statement.Action]) : !strcontains(action, "*")])])
    error_message = "The task may do something to everything."
  }
}

run "handlers" {
  command = plan
  variables {
    settings = { GENESYS_ACTION_ID = "custom_-_1", HANDLERS = "voice" }
  }

  assert {
    condition     = keys(aws_sqs_queue.events) == ["voice"] && keys(aws_cloudwatch_event_rule.genesys) == ["voice"] && length(aws_scheduler_schedule.report) == 0
    error_message = "There are queues, rules or schedules of jobs that are off: they would fill for ever."
  }
  assert {
    condition     = keys(local.job_actions) == ["DYNAMODB_TABLE"]
    error_message = "The task may do what no job of it does."
  }
}

run "no_job" {
  command = plan
  variables {
    settings = { HANDLERS = "nothing" }
  }
  expect_failures = [aws_ecs_service.worker]
}

# All that is known of this job is what `worker jobs --json` says of it.
run "job_of_another_package" {
  variables {
    settings = { ORDERS_TABLE = "orders", ORDERS_TOPIC_ARN = "arn:aws:sns:eu-west-1:123456789012:orders", PLACE = "x" }
    additional_jobs = [{
      name        = "orders"
      requires    = ["ORDERS_TABLE"]
      topics      = ["v2.detail.events.conversation.{id}.acw"]
      aws_actions = { "dynamodb:PutItem" = "ORDERS_TABLE", "sns:Publish" = "ORDERS_TOPIC_ARN", "kinesis:PutRecord" = "PLACE", "sqs:SendMessage" = "PLACE" }
      bus_events  = []
    }]
    additional_topics      = { orders = ["v2.detail.events.conversation.{id}.user.end"] }
    additional_policy_json = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "kinesis:PutRecord", Resource = "arn:aws:kinesis:eu-west-1:123456789012:stream/x" }] })
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.genesys["orders"].event_pattern)["detail-type"] == ["v2.detail.events.conversation.{id}.acw", "v2.detail.events.conversation.{id}.user.end"] && aws_cloudwatch_event_target.queue["orders/orders"].arn == aws_sqs_queue.events["orders"].arn
    error_message = "The job's topics do not come to its queue."
  }
  assert {
    condition     = alltrue([for topic in ["acw", "user.end"] : contains(jsondecode(aws_cloudwatch_event_archive.genesys[0].event_pattern)["detail-type"], "v2.detail.events.conversation.{id}.${topic}")])
    error_message = "The job's topics are not in the archive."
  }
  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.task.policy).Statement : statement.Sid => [statement.Action, statement.Resource] if contains(["OrdersTable", "OrdersTopicArn", "Place"], statement.Sid) } == { OrdersTable = [["dynamodb:PutItem"], ["arn:aws:dynamodb:eu-west-1:123456789012:table/orders", "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/index/*"]], OrdersTopicArn = [["sns:Publish"], ["arn:aws:sns:eu-west-1:123456789012:orders"]] }
    error_message = "The job may not do what it declares, or more than that."
  }
  assert {
    condition     = aws_iam_role_policy.additional[0].policy == var.additional_policy_json
    error_message = "The additional policy is not the task's."
  }
  assert {
    condition     = contains(keys(aws_cloudwatch_metric_alarm.backlog), "orders") && contains(keys(aws_cloudwatch_metric_alarm.worker), "oldest-message-orders")
    error_message = "The job's queue has no alarms."
  }
}

run "topics_of_no_job" {
  command = plan
  variables {
    additional_topics = { order = ["v2.detail.events.conversation.{id}.acw"] }
  }
  expect_failures = [var.additional_topics]
}

run "choices" {
  command = plan
  variables {
    state_machine_type = "EXPRESS"
    record_indexes     = ["crmTier", "sentimentOverall"]
    architecture       = "X86_64"
  }

  assert {
    condition     = aws_sfn_state_machine.workflow.type == "EXPRESS"
    error_message = "The state machine is of another type."
  }
  assert {
    condition     = toset([for index in aws_dynamodb_table.records.global_secondary_index : [index.name, index.hash_key, index.range_key]]) == toset([["crmTier-index", "crmTier", "eventTimestamp"], ["sentimentOverall-index", "sentimentOverall", "eventTimestamp"]]) && { for one in aws_dynamodb_table.records.attribute : one.name => one.type } == { conversationId = "S", eventTimestamp = "S", crmTier = "S", sentimentOverall = "N" }
    error_message = "Records cannot be found by tier or sentiment."
  }
}

run "partner_source" {
  command = plan
  variables {
    partner_event_source_name = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/prod"
  }

  assert {
    condition     = one(aws_cloudwatch_event_bus.genesys[*].event_source_name) == var.partner_event_source_name && one(aws_cloudwatch_event_bus.genesys[*].name) == var.partner_event_source_name
    error_message = "The bus does not belong to the partner source."
  }
  assert {
    condition     = alltrue([for rule in aws_cloudwatch_event_rule.genesys : jsondecode(rule.event_pattern).source == [var.partner_event_source_name]])
    error_message = "The rules take events of other organisations."
  }
}

run "bus_that_is_there" {
  command = plan
  variables {
    event_bus_name           = "default"
    additional_event_sources = ["genesys.forwarder"]
    archive_days             = 0
    cluster_arn              = "arn:aws:ecs:eu-west-1:123456789012:cluster/shared"
    image                    = "registry.example.com/worker:1.2.3"
  }

  assert {
    condition     = length(aws_cloudwatch_event_bus.genesys) == 0 && length(aws_cloudwatch_event_archive.genesys) == 0
    error_message = "A bus or an archive was made."
  }
  assert {
    condition     = alltrue([for rule in aws_cloudwatch_event_rule.genesys : rule.event_bus_name == "default" && jsondecode(rule.event_pattern).source[1] == "genesys.forwarder"])
    error_message = "The rules are not on that bus, or do not take the forwarder's events."
  }
  assert {
    condition     = length(aws_ecs_cluster.worker) == 0 && aws_appautoscaling_target.worker.resource_id == "service/shared/genesys-events" && output.image == "registry.example.com/worker:1.2.3"
    error_message = "Another cluster or image is used."
  }
}

run "workflow_with_functions" {
  command = plan
  variables {
    workflow_functions = {
      fetch_crm_contact    = "arn:aws:lambda:eu-west-1:123456789012:function:contact"
      update_ticket_system = "arn:aws:lambda:eu-west-1:123456789012:function:ticket:live"
    }
  }

  assert {
    condition     = local.states.look_up.Branches[0].States.fetch_crm_contact.Parameters.FunctionName == var.workflow_functions.fetch_crm_contact && local.states.update_ticket_system.Parameters.FunctionName == var.workflow_functions.update_ticket_system
    error_message = "A step calls another function."
  }
  assert {
    condition     = local.states.look_up.Branches[1].States.analyze_sentiment.Type == "Pass" && !contains(keys(local.states.look_up.Branches[1].States), "sentiment_failed")
    error_message = "The step without a function is not a placeholder."
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.workflow.policy).Statement : length(statement.Resource) if statement.Sid == "InvokeSteps"]) == 2
    error_message = "The state machine may call other functions."
  }
}

run "too_many_tasks" {
  command = plan
  variables {
    max_tasks = 13
  }
  expect_failures = [var.max_tasks]
}

run "too_slow_a_drain" {
  command = plan
  variables {
    drain_seconds = 101
  }
  expect_failures = [var.drain_seconds]
}

run "secret_among_the_settings" {
  command = plan
  variables {
    settings = { GENESYS_CLIENT_SECRET = "x" }
  }
  expect_failures = [var.settings]
}

run "setting_that_is_the_modules" {
  command = plan
  variables {
    settings = { SQS_QUEUE_URL = "https://x" }
  }
  expect_failures = [var.settings]
}

run "region_among_the_settings" {
  command = plan
  variables {
    settings = { AWS_REGION = "us-east-1" }
  }
  expect_failures = [var.settings]
}

run "log_format_among_the_settings" {
  command = plan
  variables {
    settings = { LOG_FORMAT = "console" }
  }
  expect_failures = [var.settings]
}

run "secret_that_is_a_setting_too" {
  command = plan
  variables {
    settings        = { GENESYS_CLIENT_ID = "one" }
    secret_settings = ["GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET"]
  }
  expect_failures = [var.secret_settings]
}

run "secret_that_the_module_sets" {
  command = plan
  variables {
    secret_settings = ["GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET", "GENESYS_ENVIRONMENT"]
  }
  expect_failures = [var.secret_settings]
}

run "report_in_a_time_zone" {
  command = plan
  variables {
    reports = { daily = { schedule = "cron(30 3 * * ? *)", timezone = "Europe/Berlin" } }
  }
  assert {
    condition     = aws_scheduler_schedule.report["daily"].schedule_expression_timezone == "Europe/Berlin" && jsondecode(output.report_events["daily"]).detail.timezone == "Europe/Berlin"
    error_message = "The schedule and the days of the report are of different time zones."
  }
}

run "queue_by_its_name" {
  command = plan
  variables {
    reports = { daily = { schedule = "cron(0 3 * * ? *)", queue_ids = ["Support"] } }
  }
  expect_failures = [var.reports]
}

run "two_buses" {
  command = plan
  variables {
    partner_event_source_name = "aws.partner/genesys.com/cloud/o/s"
    event_bus_name            = "other"
  }
  expect_failures = [var.event_bus_name]
}

run "image_that_moves" {
  command = plan
  variables {
    image = "registry.example.com/worker:latest"
  }
  expect_failures = [var.image]
}
