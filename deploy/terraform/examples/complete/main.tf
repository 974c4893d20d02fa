# Everything: a network of its own, a secret, alarms by mail, and the worker.

module "worker" {
  source = "../.."

  name                = var.name
  deletion_protection = var.deletion_protection

  partner_event_source_name = var.partner_event_source_name
  additional_event_sources  = var.additional_event_sources

  genesys_environment = var.genesys_environment
  settings            = var.settings
  additional_jobs     = var.additional_jobs
  secret_arn          = aws_secretsmanager_secret.worker.arn
  image_tag           = var.image_tag

  vpc_id     = aws_vpc.this.id
  subnet_ids = [for subnet in aws_subnet.private : subnet.id]

  reports = {
    # Not at 02:00: in March there is a day without it.
    daily        = { schedule = "cron(30 3 * * ? *)", timezone = "Europe/Berlin" }
    hourly-voice = { schedule = "cron(10 * * * ? *)", period = "hour", media_type = "voice" }
  }

  alarm_actions = [aws_sns_topic.alarms.arn]
}

# Its value is given by hand, so that it never stands in a state:
# aws secretsmanager put-secret-value --secret-id … --secret-string '{"GENESYS_CLIENT_ID":"…","GENESYS_CLIENT_SECRET":"…"}'
resource "aws_secretsmanager_secret" "worker" {
  name                    = "${var.name}-worker"
  description             = "GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET, as a JSON object"
  recovery_window_in_days = var.deletion_protection ? 7 : 0
}

resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}
