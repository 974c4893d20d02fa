# Who may do what. Policies are written with jsonencode and not as `aws_iam_policy_document`, so that
# they can be read without AWS: deploy/tests/iam holds the worker's to the calls in its code.

locals {
  trust = {
    for who, source in {
      "ecs-tasks.amazonaws.com" = "arn:${local.partition}:ecs:${local.region}:${local.account_id}:*"
      "states.amazonaws.com"    = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${var.name}-*"
      "scheduler.amazonaws.com" = "arn:${local.partition}:scheduler:${local.region}:${local.account_id}:schedule*/${var.name}-reports*"
      } : who => jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = who }
          Action    = "sts:AssumeRole"
          # The service acts for us, and for no other customer.
          Condition = {
            StringEquals = { "aws:SourceAccount" = local.account_id }
            ArnLike      = { "aws:SourceArn" = source }
          }
        }]
    })
  }
}

# --- The worker itself --------------------------------------------------------------------------

resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  description        = "What the worker may do while it runs"
  assume_role_policy = local.trust["ecs-tasks.amazonaws.com"]
}

resource "aws_iam_role_policy" "task" {
  name = "worker"
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Queue"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
        Resource = values(local.queue_arns)
      },
      {
        Sid      = "DeadLetter"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
        Resource = aws_sqs_queue.dead_letters.arn
      },
      {
        Sid      = "Idempotency"
        Effect   = "Allow"
        Action   = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
        Resource = aws_dynamodb_table.idempotency.arn
      },
      {
        # Asked for through the ECS agent, while a report is written.
        Sid      = "ProtectItself"
        Effect   = "Allow"
        Action   = "ecs:UpdateTaskProtection"
        Resource = "arn:${local.partition}:ecs:${local.region}:${local.account_id}:task/${local.cluster_name}/*"
      },
      ], [
      for setting, arn in local.job_resources : merge(
        {
          Sid      = join("", [for word in split("_", setting) : title(lower(word))])
          Effect   = "Allow"
          Action   = distinct(local.job_actions[setting])
          Resource = arn
        },
        { for key in ["Condition"] : key => local.own_sources_only if setting == "EVENT_BUS_NAME" },
      ) if contains(keys(local.job_actions), setting)
    ])
  })
}

# What jobs need that neither their declarations nor their settings say.
resource "aws_iam_role_policy" "additional" {
  count = var.additional_policy_json == null ? 0 : 1

  name   = "additional"
  role   = aws_iam_role.task.id
  policy = var.additional_policy_json
}

locals {
  # Actions of the jobs, by the setting that names what they act on.
  job_actions = {
    for one in flatten([for job in local.jobs : [for action, setting in job.aws_actions : { action = action, setting = setting }]]) :
    one.setting => one.action...
  }
  job_resources = merge({
    DYNAMODB_TABLE          = aws_dynamodb_table.records.arn
    STEP_FUNCTIONS_ARN      = aws_sfn_state_machine.workflow.arn
    WORKFLOW_DETAILS_BUCKET = "${aws_s3_bucket.reports.arn}/call-details/*"
    REPORT_BUCKET           = "${aws_s3_bucket.reports.arn}/reports/*" # s3:GetObject is also what a presigned link passes on
    EVENT_BUS_NAME          = local.own_bus_arn
    },
    # One action for each kind of FORWARD_TO; the ARN says which of them means anything.
    { for arn in compact([var.forward_target_arn]) : "FORWARD_TO" => arn },
    local.named_resources,
  )

  # What a setting of this deployment names, an ARN or the name of a resource of this account and
  # region, if all that jobs do to it is one service's. Else `additional_policy_json` has to allow it.
  services_of_setting = { for setting, actions in local.job_actions : setting => distinct([for action in actions : split(":", action)[0]]) }
  named_resources = {
    for setting, services in local.services_of_setting : setting => (
      startswith(var.settings[setting], "arn:") ? [var.settings[setting]] : [for form in local.arn_forms[services[0]] : format(form, basename(var.settings[setting]))]
    )
    if length(services) == 1 && lookup(var.settings, setting, "") != "" && (startswith(lookup(var.settings, setting, ""), "arn:") || contains(keys(local.arn_forms), services[0]))
  }
  of_account = "${local.region}:${local.account_id}"
  arn_forms = {
    dynamodb       = [for form in ["%s", "%s/index/*"] : "arn:${local.partition}:dynamodb:${local.of_account}:table/${form}"]
    events         = ["arn:${local.partition}:events:${local.of_account}:event-bus/%s"]
    firehose       = ["arn:${local.partition}:firehose:${local.of_account}:deliverystream/%s"]
    kinesis        = ["arn:${local.partition}:kinesis:${local.of_account}:stream/%s"]
    lambda         = ["arn:${local.partition}:lambda:${local.of_account}:function:%s"]
    s3             = [for form in ["%s", "%s/*"] : "arn:${local.partition}:s3:::${form}"]
    secretsmanager = ["arn:${local.partition}:secretsmanager:${local.of_account}:secret:%s-??????"]
    sns            = ["arn:${local.partition}:sns:${local.of_account}:%s"]
    sqs            = ["arn:${local.partition}:sqs:${local.of_account}:%s"]
    states         = ["arn:${local.partition}:states:${local.of_account}:stateMachine:%s"]
  }

  own_sources      = distinct(flatten([for job in local.known_jobs : job.bus_events[*].source]))
  own_sources_only = { StringEquals = { "events:source" = local.own_sources } }
}

# --- Starting the task --------------------------------------------------------------------------

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  description        = "What ECS needs to start the worker"
  assume_role_policy = local.trust["ecs-tasks.amazonaws.com"]
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "SignInToECR"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*" # it knows no resources
      },
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        Resource = coalesce(var.image_repository_arn, aws_ecr_repository.worker.arn)
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.worker.arn}:*"
      },
      {
        Sid      = "ReadSecret"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.secret_arn
      },
      ], [for key in compact([var.secret_kms_key_arn]) : {
        Sid      = "DecryptSecret"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = key
    }])
  })
}

# --- The workflow and the schedules -------------------------------------------------------------

resource "aws_iam_role" "workflow" {
  name               = "${var.name}-workflow"
  description        = "What the state machine may do"
  assume_role_policy = local.trust["states.amazonaws.com"]
}

resource "aws_iam_role_policy" "workflow" {
  name = "workflow"
  role = aws_iam_role.workflow.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid    = "DeliverLogs"
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
          "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
        ]
        Resource = "*" # they know no resources
      },
      ], length(local.workflow_functions) == 0 ? [] : [{
        Sid      = "InvokeSteps"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = values(local.workflow_functions)
    }])
  })
}

resource "aws_iam_role" "scheduler" {
  name               = "${var.name}-scheduler"
  description        = "What the schedules of the reports may do"
  assume_role_policy = local.trust["scheduler.amazonaws.com"]
}

resource "aws_iam_role_policy" "scheduler" {
  name = "schedule"
  role = aws_iam_role.scheduler.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "SendReportDue"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = concat([for job, arn in local.queue_arns : arn if job == "reports"], [aws_sqs_queue.undelivered.arn])
    }]
  })
}

# --- Operators ----------------------------------------------------------------------------------

# For people, not for tasks: what `worker check`, `send`, `dlq`, `report`, `trace` and
# `backfill` call. Attach it to their role.
resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator"
  description = "The worker's commands for operators"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Queue"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
        Resource = concat(values(local.queue_arns), [aws_sqs_queue.dead_letters.arn])
      },
      {
        Sid      = "MoveDeadLettersBack"
        Effect   = "Allow"
        Action   = "sqs:StartMessageMoveTask"
        Resource = aws_sqs_queue.dead_letters.arn
      },
      {
        Sid      = "Reports"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:GetObject"]
        Resource = "${aws_s3_bucket.reports.arn}/reports/*"
      },
      # `worker check` makes calls that are refused for what they carry. A role that may send messages can
      # have the worker do all of this in earnest.
      {
        Sid      = "CheckTables"
        Effect   = "Allow"
        Action   = "dynamodb:PutItem"
        Resource = [aws_dynamodb_table.records.arn, aws_dynamodb_table.idempotency.arn]
      },
      {
        Sid      = "TraceRecords"
        Effect   = "Allow"
        Action   = "dynamodb:Query"
        Resource = [aws_dynamodb_table.records.arn, "${aws_dynamodb_table.idempotency.arn}/index/conversationId-index"]
      },
      {
        # UpdateItem, DeleteItem: the check of the table, by writes that their own conditions forbid; and the
        # claims of what a backfill sends.
        Sid      = "TraceIdempotency"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
        Resource = aws_dynamodb_table.idempotency.arn
      },
      {
        # Of what no call without an effect shows, `worker check` asks IAM about the role that it runs under.
        Sid      = "CheckRole"
        Effect   = "Allow"
        Action   = "iam:SimulatePrincipalPolicy"
        Resource = "arn:${local.partition}:iam::${local.account_id}:role/*"
      },
      {
        Sid      = "TraceWorkflow"
        Effect   = "Allow"
        Action   = "states:ListExecutions"
        Resource = aws_sfn_state_machine.workflow.arn
      },
      {
        Sid      = "CheckWorkflow"
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = aws_sfn_state_machine.workflow.arn
      },
      {
        Sid       = "CheckBus"
        Effect    = "Allow"
        Action    = "events:PutEvents"
        Resource  = local.own_bus_arn
        Condition = local.own_sources_only
      },
      {
        Sid      = "SeeBus"
        Effect   = "Allow"
        Action   = "events:DescribeEventBus"
        Resource = local.own_bus_arn
      },
      {
        Sid      = "CheckCallDetails"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${aws_s3_bucket.reports.arn}/call-details/*"
      },
      ], [
      for arn in compact([var.forward_target_arn]) : {
        Sid    = "CheckForward"
        Effect = "Allow"
        Action = concat(lookup(local.job_actions, "FORWARD_TO", []), [
          "kinesis:DescribeStreamSummary", "firehose:DescribeDeliveryStream", "sqs:GetQueueAttributes", "events:DescribeEventBus",
        ])
        Resource = arn
      }
      ], [
      for arn in compact([var.forward_target_arn]) : {
        # Whether a rule of the target bus leads back to the worker's queue.
        Sid      = "SeeRulesBack"
        Effect   = "Allow"
        Action   = "events:ListRuleNamesByTarget"
        Resource = "*" # it knows no resources
      }
    ])
  })
}
