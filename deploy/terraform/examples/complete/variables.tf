variable "region" {
  description = "AWS region; the one that the Genesys Cloud integration was given."
  type        = string
  default     = "eu-west-1"
}

variable "name" {
  description = "Prefix of every name."
  type        = string
  default     = "genesys-events"
}

variable "partner_event_source_name" {
  description = "Partner event source of the Genesys Cloud integration, as `worker source show` prints it. Null: a custom bus is made, which hears `additional_event_sources`."
  type        = string
  default     = null
}

variable "additional_event_sources" {
  description = "Further values of `source`, e.g. of a forwarder."
  type        = list(string)
  default     = []
}

variable "genesys_environment" {
  description = "Domain of the Genesys Cloud region."
  type        = string
  default     = "mypurecloud.ie"
}

variable "settings" {
  description = "Settings of the worker; a handler whose settings are missing is off."
  type        = map(string)
  default     = {}
}

variable "additional_jobs" {
  description = "Jobs of your own, as `worker jobs --json` prints them."
  type        = any
  default     = []
}

variable "image_tag" {
  description = "Tag of the worker's image in the repository that is made."
  type        = string
  default     = "0.2.0"
}

variable "deletion_protection" {
  description = "False lets `terraform destroy` remove tables and reports."
  type        = bool
  default     = true
}

variable "alarm_email" {
  description = "Address that alarms go to, once it has confirmed. Null: none."
  type        = string
  default     = null
}

variable "endpoint" {
  description = "URL of an AWS emulator, such as moto's server. Null: AWS itself."
  type        = string
  default     = null
}
