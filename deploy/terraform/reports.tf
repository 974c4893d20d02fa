# The report bucket, which also takes call details that are too large for a workflow's input, and
# the schedules of the reports.

locals {
  report_source = "genesys.report.scheduler"

  # The Scheduler fills in both keywords, and the same ones on a retry. jsonencode would write the
  # angle brackets as \u003c, which the Scheduler does not know.
  report_events = {
    for name, report in var.reports : name => replace(replace(jsonencode({
      version     = "0"
      id          = "<aws.scheduler.execution-id>"
      detail-type = "report.due"
      source      = local.report_source
      time        = "<aws.scheduler.scheduled-time>"
      region      = local.region
      resources   = []
      detail = { for field, value in {
        name      = name
        period    = report.period
        timezone  = report.timezone
        mediaType = report.media_type
        queueIds  = report.queue_ids
        groupBy   = report.group_by
        filters   = report.filters
      } : field => value if value != null }
    }), "\\u003c", "<"), "\\u003e", ">")
  }
}

resource "aws_s3_bucket" "reports" {
  bucket        = "${var.name}-reports-${local.account_id}-${local.region}"
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "reports" {
  bucket                  = aws_s3_bucket.reports.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "reports" {
  bucket = aws_s3_bucket.reports.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "reports" {
  bucket = aws_s3_bucket.reports.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_policy" "reports" {
  bucket = aws_s3_bucket.reports.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyOverTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.reports.arn, "${aws_s3_bucket.reports.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.reports]
}

resource "aws_s3_bucket_lifecycle_configuration" "reports" {
  bucket = aws_s3_bucket.reports.id

  rule {
    id     = "reports"
    status = "Enabled"
    filter {
      prefix = "reports/"
    }
    expiration {
      days = var.report_retention_days
    }
  }

  rule {
    id     = "call-details"
    status = "Enabled"
    filter {
      prefix = "call-details/"
    }
    # Read by the workflow within the hour.
    expiration {
      days = 30
    }
  }

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_scheduler_schedule_group" "reports" {
  name = "${var.name}-reports"
}

resource "aws_scheduler_schedule" "report" {
  for_each = { for name, report in var.reports : name => report if contains(keys(local.jobs), "reports") }

  name                         = each.key
  group_name                   = aws_scheduler_schedule_group.reports.name
  description                  = "report.due for the report ${each.key}"
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = each.value.timezone

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sqs_queue.events["reports"].arn
    role_arn = aws_iam_role.scheduler.arn
    input    = local.report_events[each.key]

    dead_letter_config {
      arn = aws_sqs_queue.undelivered.arn
    }

    retry_policy {
      maximum_event_age_in_seconds = 86400
      maximum_retry_attempts       = 185
    }
  }
}
