output "queue_urls" {
  description = "Where the events of each job arrive."
  value       = { for job, queue in aws_sqs_queue.events : job => queue.url }
}

output "dead_letter_queue_url" {
  description = "SQS_DEAD_LETTER_QUEUE_URL: messages that cannot succeed, with the reason."
  value       = aws_sqs_queue.dead_letters.url
}

output "undelivered_queue_url" {
  description = "Events that EventBridge or the Scheduler could not deliver to a queue."
  value       = aws_sqs_queue.undelivered.url
}

output "event_bus_name" {
  description = "Bus that carries the events of Genesys Cloud."
  value       = local.bus_name
}

output "archive_arn" {
  description = "Archive of that bus, for replays; null without one."
  value       = one(aws_cloudwatch_event_archive.genesys[*].arn)
}

output "records_table" {
  description = "Table of the voice records."
  value       = aws_dynamodb_table.records.name
}

output "idempotency_table" {
  description = "Table of what is done."
  value       = aws_dynamodb_table.idempotency.name
}

output "state_machine_arn" {
  description = "The workflow of ended conversations."
  value       = aws_sfn_state_machine.workflow.arn
}

output "report_bucket" {
  description = "Bucket of the reports."
  value       = aws_s3_bucket.reports.id
}

output "report_events" {
  description = "What the Scheduler sends for each report."
  value       = local.report_events
}

output "repository_url" {
  description = "Where images are pushed to."
  value       = aws_ecr_repository.worker.repository_url
}

output "image" {
  description = "Image that the tasks run."
  value       = local.image
}

output "environment" {
  description = "Settings of the tasks, secrets apart: run `worker check` under them."
  value       = local.environment
}

output "task_role_arn" {
  description = "Role of the running worker."
  value       = aws_iam_role.task.arn
}

output "operator_policy_arn" {
  description = "Policy for the people who use the worker's commands."
  value       = aws_iam_policy.operator.arn
}

output "security_group_id" {
  description = "Security group of the tasks."
  value       = aws_security_group.worker.id
}

output "cluster_name" {
  description = "ECS cluster of the service."
  value       = local.cluster_name
}

output "service_name" {
  description = "ECS service of the worker."
  value       = aws_ecs_service.worker.name
}

output "log_group_name" {
  description = "Logs of the tasks, audit entries among them."
  value       = aws_cloudwatch_log_group.worker.name
}
