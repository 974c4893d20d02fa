# --- Names and safety ---------------------------------------------------------------------------

variable "name" {
  description = "Prefix of every name, e.g. `genesys-events-prod`. Two deployments of one account need two."
  type        = string
  default     = "genesys-events"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "3 to 32 lower-case letters, digits and hyphens; a letter first: it becomes part of a bucket's name."
  }
}

variable "deletion_protection" {
  description = "True keeps tables, reports and images from `terraform destroy`: tables refuse to go, bucket and repository must be empty."
  type        = bool
  default     = true
}

# --- Where the events come from -----------------------------------------------------------------

variable "partner_event_source_name" {
  description = "Name of the partner event source that Genesys Cloud made in this account and region (`worker source show` prints it): `aws.partner/genesys.com/cloud/{organisation}/{suffix}`. Its event bus is made, which takes the source from pending to active. Null: `event_bus_name` is used."
  type        = string
  default     = null

  validation {
    condition     = var.partner_event_source_name == null || can(regex("^aws\\.partner/genesys\\.com[A-Za-z0-9._/-]+$", var.partner_event_source_name))
    error_message = "Begins with aws.partner/genesys.com."
  }
}

variable "event_bus_name" {
  description = "An event bus that is there already and carries the events of Genesys Cloud. Only without `partner_event_source_name`. Null, too: a custom bus called `name` is made, for events that something else forwards."
  type        = string
  default     = null

  validation {
    condition     = var.event_bus_name == null || var.partner_event_source_name == null
    error_message = "Give partner_event_source_name or event_bus_name, not both: the bus of a partner source is named after the source."
  }
}

variable "additional_event_sources" {
  description = "Further values of `source` that the rules take, e.g. of a forwarder: only AWS may put events whose source begins with `aws.` on a custom bus."
  type        = list(string)
  default     = []
}

variable "jobs_file" {
  description = "What `worker jobs --json` prints, as a file: topics, AWS actions and own events of the jobs. Null: that of the jobs in the box, which stands beside the module's folder. With a copy of the module's folder alone, give yours."
  type        = string
  default     = null
}

variable "additional_jobs" {
  description = "Jobs of your own besides those of `jobs_file`: entries as `worker jobs --json` prints them, which is where topic, rule, queue and permissions of a job come from."
  type        = any
  default     = []

  validation {
    condition     = alltrue([for job in var.additional_jobs : can([job.name, job.requires, job.topics, job.aws_actions, job.bus_events])])
    error_message = "Entries of `worker jobs --json`: objects with name, requires, topics, aws_actions, bus_events."
  }
  validation {
    condition     = alltrue([for job in var.additional_jobs : can(regex("^[a-z][a-z0-9_]{0,39}$", job.name))])
    error_message = "A job's name becomes part of its queue's."
  }
}

variable "additional_topics" {
  description = "Further topics of Genesys Cloud by job, with a literal `{id}`, e.g. `{ forward = [\"v2.detail.events.conversation.{id}.acw\"] }`: what FORWARD_TYPES or EVENTS_…_TYPES want beyond what the job declares."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.additional_topics), local.known_jobs[*].name)) == 0
    error_message = "The keys are names of jobs."
  }
}

variable "additional_policy_json" {
  description = "Policy for the task's role, besides what its jobs declare. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.additional_policy_json == null || can(jsondecode(var.additional_policy_json).Statement)
    error_message = "A policy as JSON."
  }
}

variable "archive_days" {
  description = "Days that events of Genesys Cloud stay in the archive, ready to be replayed. 0: no archive."
  type        = number
  default     = 14

  validation {
    condition     = var.archive_days >= 0 && floor(var.archive_days) == var.archive_days
    error_message = "Whole days, 0 or more."
  }
}

variable "own_bus_name" {
  description = "Event bus that the worker puts its own events on, and on which `report.due` is heard. Not the bus of a partner source: it takes no events but the partner's."
  type        = string
  default     = "default"

  validation {
    condition     = !startswith(var.own_bus_name, "aws.partner/")
    error_message = "A partner bus takes no events but the partner's."
  }
}

# --- Queues -------------------------------------------------------------------------------------

variable "visibility_timeout_seconds" {
  description = "Visibility timeout of the queues. The worker reads it and extends what it has in flight, so it bounds how late a crash shows, not how long work may take."
  type        = number
  default     = 60

  validation {
    condition     = var.visibility_timeout_seconds >= 10 && var.visibility_timeout_seconds <= 43200
    error_message = "10 to 43200 seconds: below that no heartbeat can hold a message."
  }
}

variable "message_retention_days" {
  description = "Days a message may wait on its queue; the dead-letter queues keep theirs for 14. Far more than the worker's RETRY_HORIZON_SECONDS (6 h)."
  type        = number
  default     = 4

  validation {
    condition     = var.message_retention_days >= 1 && var.message_retention_days < 14
    error_message = "1 to 13 days: what SQS moves to the dead-letter queue brings its age along, so that one must keep longer."
  }
}

variable "max_receive_count" {
  description = "Receives after which SQS itself moves a message to the dead-letter queue: the guard against messages that kill the process. Failures are dead-lettered by the worker, by age; drains and outages are receives too."
  type        = number
  default     = 50

  validation {
    condition     = var.max_receive_count >= 10 && var.max_receive_count <= 1000
    error_message = "10 to 1000: fewer would dead-letter healthy messages after a few deployments."
  }
}

# --- The worker ---------------------------------------------------------------------------------

variable "image" {
  description = "Image of the worker with a tag or digest. Null: `image_tag` of the repository that this module makes."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$", var.image))
    error_message = "Carries a tag or a digest."
  }
  validation {
    condition     = var.image == null || !can(regex(":latest$", var.image))
    error_message = "Not `latest`: a task that restarts must be the same worker."
  }
}

variable "image_tag" {
  description = "Tag in the module's own repository; used when `image` is null. Tags are immutable there."
  type        = string
  default     = "0.2.0"
}

variable "image_repository_arn" {
  description = "ARN of the ECR repository of `image`, if it is another one than the module's: the task's start-up role may pull from it. Public images need none."
  type        = string
  default     = null
}

variable "architecture" {
  description = "CPU architecture of the image: `ARM64`, at four fifths of the price, or `X86_64`."
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "X86_64 or ARM64."
  }
}

variable "cpu" {
  description = "CPU units of a task; 256 is a quarter of a core. One worker uses one core at most."
  type        = number
  default     = 256

  validation {
    condition     = contains([256, 512, 1024, 2048], var.cpu)
    error_message = "256, 512, 1024 or 2048."
  }
}

variable "memory" {
  description = "Memory of a task in MiB; a size that Fargate offers with `cpu`."
  type        = number
  default     = 512

  validation {
    condition = contains({
      256  = [512, 1024, 2048]
      512  = [1024, 2048, 3072, 4096]
      1024 = [2048, 3072, 4096, 5120, 6144, 7168, 8192]
      2048 = [4096, 5120, 6144, 7168, 8192, 9216, 10240, 11264, 12288, 13312, 14336, 15360, 16384]
    }[var.cpu], var.memory)
    error_message = "Fargate does not offer this memory with this cpu."
  }
}

variable "concurrency" {
  description = "SQS_CONCURRENCY: messages that one task handles at once."
  type        = number
  default     = 64

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 2000
    error_message = "1 to 2000."
  }
}

variable "poll_wait_seconds" {
  description = "SQS_WAIT_SECONDS: length of a long poll. A running poll is never cut, so it is part of the time a task needs to stop."
  type        = number
  default     = 10

  validation {
    condition     = var.poll_wait_seconds >= 1 && var.poll_wait_seconds <= 20
    error_message = "1 to 20 seconds."
  }
}

variable "drain_seconds" {
  description = "SQS_DRAIN_SECONDS: time for messages in flight after SIGTERM. The task's stopTimeout is this and `poll_wait_seconds` and ten more."
  type        = number
  default     = 60

  validation {
    condition     = var.drain_seconds > var.poll_wait_seconds && var.drain_seconds + var.poll_wait_seconds + 10 <= 120
    error_message = "Longer than poll_wait_seconds; and with it and 10 s more within Fargate's 120 s."
  }
}

variable "genesys_environment" {
  description = "GENESYS_ENVIRONMENT: domain of the Genesys Cloud region, e.g. `mypurecloud.ie`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.-]+$", var.genesys_environment))
    error_message = "A domain, without https:// and without `api.`."
  }
}

variable "genesys_requests_per_minute" {
  description = "Requests a minute that the OAuth client may make in all; 300 unless Genesys raised it. All tasks share it; one alone takes 80 % of it."
  type        = number
  default     = 300

  validation {
    condition     = var.genesys_requests_per_minute >= 30
    error_message = "30 or more."
  }
}

locals {
  # What `settings` and `secret_settings` must leave alone: the module's resources and other variables decide it.
  decided_here = [
    "SQS_QUEUE_URL",
    "SQS_DEAD_LETTER_QUEUE_URL",
    "SQS_CONCURRENCY",
    "SQS_WAIT_SECONDS",
    "SQS_DRAIN_SECONDS",
    "GENESYS_ENVIRONMENT",
    "GENESYS_FLEET_REQUESTS_PER_MINUTE",
    "GENESYS_REQUESTS_PER_MINUTE",
    "DYNAMODB_TABLE",
    "DYNAMODB_RETENTION_SECONDS",
    "LEDGER_TABLE",
    "STEP_FUNCTIONS_ARN",
    "STEP_FUNCTIONS_TYPE",
    "WORKFLOW_DETAILS_BUCKET",
    "EVENT_BUS_NAME",
    "REPORT_BUCKET",
    "AWS_REGION",
    "OPS_HOST",
    "OPS_PORT",
    "LOG_FORMAT",
  ]
}

variable "settings" {
  description = "Further settings of the worker by name (`worker settings` lists them), e.g. GENESYS_ACTION_ID, GENESYS_FLOW_ID, CRM_API_ENDPOINT, CRM_WEBHOOK_URL, LOG_LEVEL. A job whose settings are missing is off, and has neither queue nor rule. Not for secrets, and not for what other variables or the module's own resources decide."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.settings), ["GENESYS_CLIENT_SECRET", "CRM_API_TOKEN", "WEBHOOK_SECRET"])) == 0
    error_message = "Secrets belong into the secret (`secret_arn`, `secret_settings`): settings can be read in the task definition."
  }
  validation {
    condition     = length(setintersection(keys(var.settings), local.decided_here)) == 0
    error_message = "Some of these are decided by the module: queue, tables, buckets, bus and state machine are its own, the rest are variables of it."
  }
}

variable "secret_arn" {
  description = "ARN of a secret in Secrets Manager, a JSON object with the keys of `secret_settings`. The module never reads its value, so it never stands in the state."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:", var.secret_arn))
    error_message = "The ARN of a secret."
  }
}

variable "secret_settings" {
  description = "Settings that are keys of the secret."
  type        = set(string)
  default     = ["GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET"]

  validation {
    condition     = length(setintersection(var.secret_settings, concat(local.decided_here, keys(var.settings)))) == 0
    error_message = "Some of these stand in `settings` too, or are decided by the module: ECS refuses a task definition that names one twice."
  }
}

variable "secret_kms_key_arn" {
  description = "Customer managed key that the secret is encrypted with. Null: AWS's own."
  type        = string
  default     = null
}

# --- Network and cluster ------------------------------------------------------------------------

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the tasks, in two zones at least; private ones with a way to the internet (Genesys Cloud, webhooks) and to AWS."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "One subnet at least."
  }
}

variable "assign_public_ip" {
  description = "True only for public subnets without a NAT gateway."
  type        = bool
  default     = false
}

variable "egress_ports" {
  description = "TCP ports that tasks may connect to. Nothing may connect to them, but for `metrics_security_group_ids`."
  type        = set(number)
  default     = [443]
}

variable "metrics_security_group_ids" {
  description = "Security groups whose members may read /metrics (port 9464), e.g. Prometheus's."
  type        = list(string)
  default     = []
}

variable "cluster_arn" {
  description = "ARN of an ECS cluster that is there already, with Container Insights on: scaling and one alarm read its RunningTaskCount. Null: a cluster is made."
  type        = string
  default     = null
}

# --- Scaling ------------------------------------------------------------------------------------

variable "min_tasks" {
  description = "Tasks at least. Not 0: the backlog is divided by the number of tasks."
  type        = number
  default     = 1

  validation {
    condition     = var.min_tasks >= 1
    error_message = "1 or more."
  }
}

variable "max_tasks" {
  description = "Tasks at most, whatever the backlog. With `collector` they are no more than the Genesys budget keeps busy."
  type        = number
  default     = 10

  validation {
    condition     = var.max_tasks >= var.min_tasks
    error_message = "At least min_tasks."
  }
  validation {
    condition     = floor(var.genesys_requests_per_minute * 0.8 / var.max_tasks) >= 20
    error_message = "Less than 20 requests a minute would be left for each task, all of them busy: 80 % of genesys_requests_per_minute, divided by max_tasks."
  }
}

variable "backlog_per_task" {
  description = "Messages, visible and in flight, per task that scaling aims at: what a task does in the time W that a message may wait, W × min(concurrency ÷ seconds a message takes, Genesys requests a minute of a task ÷ 60 ÷ requests a message takes). Nearly always the second is the smaller one: 30 s × 60 ÷ 60 ÷ 1 is 30."
  type        = number
  default     = 30

  validation {
    condition     = var.backlog_per_task > 0
    error_message = "More than 0."
  }
}

variable "collector" {
  description = "True: an OpenTelemetry collector beside each worker brings the metrics of `collector_metrics` to CloudWatch, and scaling knows how many tasks the Genesys budget keeps busy. False: by the backlog alone. The image must have OpenTelemetry (the extra `otel`), as the one of this repository's Dockerfile has."
  type        = bool
  default     = true
}

variable "collector_image" {
  description = "Image of AWS's distribution of the OpenTelemetry collector, for both architectures. Better a copy in a registry of your own: a task that cannot fetch it does not start."
  type        = string
  default     = "amazon/aws-otel-collector:v0.45.1"

  validation {
    condition     = can(regex("(:v[0-9][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$", var.collector_image))
    error_message = "Carries a version or a digest."
  }
}

variable "collector_metrics" {
  description = "Metrics of the worker that the collector brings to CloudWatch, in the namespace GenesysEventWorker with the dimension `service.name`, which is `name`. CloudWatch charges each of them."
  type        = set(string)
  default = [
    "worker_fleet_budget_shared",
    "worker_inflight",
    "worker_job_state",
    "worker_messages_acked_total",
    "worker_messages_dead_lettered_total",
    "worker_messages_processed_total",
    "worker_paused",
    "worker_replicas_useful",
  ]

  validation {
    condition     = contains(var.collector_metrics, "worker_replicas_useful")
    error_message = "Scaling needs worker_replicas_useful."
  }
}

variable "collector_config" {
  description = "Configuration of the collector as YAML, in place of the module's, e.g. to send traces on, with OTEL_TRACES_EXPORTER=otlp in `settings`. Null: the module's."
  type        = string
  default     = null
}

# --- Records, workflow, reports -----------------------------------------------------------------

variable "record_retention_days" {
  description = "Days after which voice records expire (DYNAMODB_RETENTION_SECONDS). Null: they stay."
  type        = number
  default     = 365
}

variable "record_indexes" {
  description = "Attributes by which voice records can be found, newest last: `crmTier`, `sentimentOverall`. Each is a global secondary index, and costs a second write for each record."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.record_indexes, ["crmTier", "sentimentOverall"])) == 0
    error_message = "crmTier, sentimentOverall."
  }
}

variable "state_machine_type" {
  description = "STANDARD, or EXPRESS: cheaper for many short executions, at most five minutes each. Executions of EXPRESS ones have no names that Step Functions holds to; that an event starts one is up to the idempotency table, and `worker trace` does not find them."
  type        = string
  default     = "STANDARD"

  validation {
    condition     = contains(["STANDARD", "EXPRESS"], var.state_machine_type)
    error_message = "STANDARD or EXPRESS."
  }
}

variable "workflow_functions" {
  description = "Lambda functions of the workflow's steps, by ARN. A step without one passes its input on and says `not_configured`, so that everything before it can be put to work first."
  type = object({
    fetch_crm_contact    = optional(string)
    analyze_sentiment    = optional(string)
    update_ticket_system = optional(string)
  })
  default = {}

  validation {
    condition     = alltrue([for arn in values(var.workflow_functions) : can(regex("^arn:[a-z-]+:lambda:", arn)) if arn != null])
    error_message = "ARNs of Lambda functions, with or without a version or alias."
  }
}

variable "reports" {
  description = "Scheduled reports by name. `schedule`: a cron(), rate() or at() expression in `timezone`, an IANA name; `period`: the whole `day` or `hour` before it, in that zone. A time that does not exist on the day the clocks go forward (02:00 in Europe/Berlin is one) is skipped that day. The rest narrows or groups the figures, as in `report.due`."
  type = map(object({
    schedule   = string
    timezone   = optional(string, "UTC")
    period     = optional(string, "day")
    media_type = optional(string)
    queue_ids  = optional(list(string))
    group_by   = optional(list(string))
    filters    = optional(map(string))
  }))
  default = { daily = { schedule = "cron(0 2 * * ? *)" } }

  validation {
    condition     = alltrue([for name in keys(var.reports) : can(regex("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,29}$", name))])
    error_message = "Names: up to 30 letters, digits, `.`, `_`, `-`, no leading dot: they become folders."
  }
  validation {
    condition     = alltrue([for report in values(var.reports) : contains(["day", "hour"], report.period)])
    error_message = "period: day or hour."
  }
  validation {
    condition     = alltrue([for report in values(var.reports) : can(regex("^(cron|rate|at)\\(.+\\)$", report.schedule))])
    error_message = "schedule: a cron(), rate() or at() expression."
  }
  validation {
    condition     = alltrue([for id in flatten([for report in values(var.reports) : coalesce(report.queue_ids, [])]) : can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", id))])
    error_message = "queue_ids: UUIDs, not names; the worker would dead-letter the event."
  }
}

variable "report_retention_days" {
  description = "Days after which report files expire."
  type        = number
  default     = 90

  validation {
    condition     = var.report_retention_days >= 1
    error_message = "1 or more."
  }
}

# --- Logs and alarms ----------------------------------------------------------------------------

variable "log_retention_days" {
  description = "Days that CloudWatch keeps the logs. The audit entries are among them."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "A number of days that CloudWatch Logs offers."
  }
}

variable "forward_target_arn" {
  description = "ARN of what the job forward writes to (FORWARD_TO in settings): a stream, a delivery stream, a queue, a bus, or a bucket's objects (arn:aws:s3:::name/*). null: it may write nowhere."
  type        = string
  default     = null
}

variable "alarm_actions" {
  description = "ARNs notified when an alarm goes off and when it is over, e.g. an SNS topic."
  type        = list(string)
  default     = []
}

variable "oldest_message_alarm_seconds" {
  description = "Age of the oldest message that raises the alarm."
  type        = number
  default     = 900

  validation {
    condition     = var.oldest_message_alarm_seconds >= 60
    error_message = "60 or more."
  }
}

variable "backlog_alarm_messages" {
  description = "Messages of one queue, visible and in flight, that raise the alarm when they stand there for a quarter of an hour. The default is ten minutes of the Genesys budget, a request each."
  type        = number
  default     = 3000

  validation {
    condition     = var.backlog_alarm_messages >= 1
    error_message = "1 or more."
  }
}
