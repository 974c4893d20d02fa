# The worker on Fargate.

locals {
  ops_port              = 9464
  tmp                   = "tmp"
  user                  = "10001:10001"
  requests_per_minute   = floor(var.genesys_requests_per_minute * 0.8)
  stop_timeout_seconds  = var.drain_seconds + var.poll_wait_seconds + 10
  image                 = coalesce(var.image, "${aws_ecr_repository.worker.repository_url}:${var.image_tag}")
  cluster_arn           = coalesce(var.cluster_arn, one(aws_ecs_cluster.worker[*].arn))
  cluster_name          = element(split("/", local.cluster_arn), 1)
  record_retention_days = var.record_retention_days == null ? {} : { DYNAMODB_RETENTION_SECONDS = tostring(var.record_retention_days * 86400) }

  # Metrics to the collector beside the worker, under the name that scaling asks for; traces only to a
  # collector that knows where to send them (`collector_config`).
  telemetry = var.collector ? {
    OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318"
    OTEL_METRICS_EXPORTER       = "otlp"
    OTEL_SERVICE_NAME           = var.name
    OTEL_TRACES_EXPORTER        = "none"
  } : {}

  environment = merge(local.telemetry, var.settings, local.record_retention_days, {
    AWS_REGION                  = local.region
    SQS_QUEUE_URL               = join(",", [for job, queue in aws_sqs_queue.events : "${job}=${queue.url}"])
    SQS_DEAD_LETTER_QUEUE_URL   = aws_sqs_queue.dead_letters.url
    SQS_CONCURRENCY             = tostring(var.concurrency)
    SQS_WAIT_SECONDS            = tostring(var.poll_wait_seconds)
    SQS_DRAIN_SECONDS           = tostring(var.drain_seconds)
    GENESYS_ENVIRONMENT         = var.genesys_environment
    GENESYS_REQUESTS_PER_MINUTE = tostring(local.requests_per_minute)
    # Of all tasks together, shared in LEDGER_TABLE.
    GENESYS_FLEET_REQUESTS_PER_MINUTE = tostring(var.genesys_requests_per_minute)
    DYNAMODB_TABLE                    = aws_dynamodb_table.records.name
    LEDGER_TABLE                      = aws_dynamodb_table.idempotency.name
    STEP_FUNCTIONS_ARN                = aws_sfn_state_machine.workflow.arn
    STEP_FUNCTIONS_TYPE               = var.state_machine_type
    WORKFLOW_DETAILS_BUCKET           = aws_s3_bucket.reports.id
    EVENT_BUS_NAME                    = var.own_bus_name
    REPORT_BUCKET                     = aws_s3_bucket.reports.id
    OPS_HOST                          = "0.0.0.0"
    OPS_PORT                          = tostring(local.ops_port)
    LOG_FORMAT                        = "json"
  })

  log = {
    logDriver = "awslogs"
    options = {
      awslogs-group  = aws_cloudwatch_log_group.worker.name
      awslogs-region = local.region
      # A slow CloudWatch must not stop the event loop.
      mode            = "non-blocking"
      max-buffer-size = "25m"
    }
  }

  container = {
    name      = "worker"
    image     = local.image
    essential = true
    user      = local.user

    environment = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]
    secrets     = [for name in sort(var.secret_settings) : { name = name, valueFrom = "${var.secret_arn}:${name}::" }]

    portMappings = [{ containerPort = local.ops_port, hostPort = local.ops_port, protocol = "tcp" }]
    # Only whether the event loop is alive: a restart fixes no dependency.
    healthCheck = {
      command     = ["CMD", "worker", "health"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
    stopTimeout = local.stop_timeout_seconds
    # Started after the collector and ended before it: the last metrics arrive.
    dependsOn = [for one in local.collectors : { containerName = one.name, condition = "START" }]

    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = local.tmp, containerPath = "/tmp", readOnly = false }]
    volumesFrom            = []
    systemControls         = []
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }

    logConfiguration = merge(local.log, { options = merge(local.log.options, { awslogs-stream-prefix = "worker" }) })
  }
}

resource "aws_ecr_repository" "worker" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "worker" {
  repository = aws_ecr_repository.worker.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last 30 images"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_cloudwatch_log_group" "worker" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_ecs_cluster" "worker" {
  count = var.cluster_arn == null ? 1 : 0

  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "worker" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(concat([local.container], local.collectors))

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = local.tmp
  }
}

resource "aws_ecs_service" "worker" {
  name                   = var.name
  cluster                = local.cluster_arn
  task_definition        = aws_ecs_task_definition.worker.arn
  desired_count          = var.min_tasks
  launch_type            = "FARGATE"
  propagate_tags         = "SERVICE"
  enable_execute_command = false

  # A new task is up before an old one goes: both draw on one Genesys budget.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.worker.id]
    assign_public_ip = var.assign_public_ip
  }

  lifecycle {
    ignore_changes = [desired_count] # belongs to scaling

    precondition {
      condition     = length(local.jobs) > 0
      error_message = "No job is on: none has all the settings that it requires, or HANDLERS names none."
    }
  }

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

resource "aws_security_group" "worker" {
  name        = "${var.name}-worker"
  description = "Tasks of the worker"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "worker" {
  for_each = { for port in var.egress_ports : tostring(port) => port }

  security_group_id = aws_security_group.worker.id
  description       = "Genesys Cloud, AWS, webhooks"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "metrics" {
  count = length(var.metrics_security_group_ids)

  security_group_id            = aws_security_group.worker.id
  description                  = "/metrics"
  ip_protocol                  = "tcp"
  from_port                    = local.ops_port
  to_port                      = local.ops_port
  referenced_security_group_id = var.metrics_security_group_ids[count.index]
}
