# A collector beside each worker: what it brings to CloudWatch is in the metrics that the log lines of
# its group carry (embedded metric format), so that no call for each metric is paid for.

locals {
  # AWS's distribution of the OpenTelemetry collector reads its configuration from a variable.
  collector_config = coalesce(var.collector_config, yamlencode({
    receivers = { otlp = { protocols = { http = { endpoint = "127.0.0.1:4318" } } } }
    processors = {
      memory_limiter = { check_interval = "5s", limit_mib = 90 }
      # Each metric costs, by name: the rest stays on /metrics.
      filter = { metrics = { include = { match_type = "strict", metric_names = sort(var.collector_metrics) } } }
      batch  = { timeout = "10s" }
    }
    exporters = {
      awsemf = {
        namespace       = local.metrics_namespace
        region          = local.region
        log_group_name  = one(aws_cloudwatch_log_group.metrics[*].name)
        log_stream_name = "worker"
        # One series for all tasks: scaling asks for the largest, and a series for each task would be
        # one more to pay for at each start.
        dimension_rollup_option          = "NoDimensionRollup"
        resource_to_telemetry_conversion = { enabled = true }
        metric_declarations              = [{ dimensions = [["service.name"]], metric_name_selectors = [".*"] }]
      }
    }
    service = {
      pipelines = { metrics = { receivers = ["otlp"], processors = ["memory_limiter", "filter", "batch"], exporters = ["awsemf"] } }
      telemetry = { logs = { level = "warn" } }
    }
  }))

  collectors = [for image in [var.collector_image] : {
    name      = "collector"
    image     = image
    essential = false # no metric is worth a message
    cpu       = 32
    memory    = 128

    environment = [
      { name = "AOT_CONFIG_CONTENT", value = local.collector_config },
      { name = "GOMEMLIMIT", value = "100MiB" },
    ]

    readonlyRootFilesystem = true
    mountPoints            = []
    portMappings           = []
    volumesFrom            = []
    systemControls         = []
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }

    logConfiguration = merge(local.log, { options = merge(local.log.options, { awslogs-stream-prefix = "collector" }) })
  } if var.collector]
}

resource "aws_cloudwatch_log_group" "metrics" {
  count = var.collector ? 1 : 0

  name              = "/ecs/${var.name}/metrics"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role_policy" "collector" {
  count = var.collector ? 1 : 0

  name = "collector"
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WriteMetrics"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "${one(aws_cloudwatch_log_group.metrics[*].arn)}:*"
    }]
  })
}
