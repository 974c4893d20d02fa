# Voice records, and the idempotency store.

locals {
  record_index_types = { crmTier = "S", sentimentOverall = "N" }
}

resource "aws_dynamodb_table" "records" {
  name                        = "${var.name}-voice-records"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "conversationId"
  range_key                   = "eventTimestamp"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "conversationId"
    type = "S"
  }

  attribute {
    name = "eventTimestamp"
    type = "S"
  }

  dynamic "attribute" {
    for_each = var.record_indexes

    content {
      name = attribute.value
      type = local.record_index_types[attribute.value]
    }
  }

  # Whole records: who looks for the unhappy gold customers of a day wants to see them.
  dynamic "global_secondary_index" {
    for_each = var.record_indexes

    content {
      name            = "${global_secondary_index.value}-index"
      hash_key        = global_secondary_index.value
      range_key       = "eventTimestamp"
      projection_type = "ALL"
    }
  }

  ttl {
    attribute_name = "expiresAt"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_dynamodb_table" "idempotency" {
  name                        = "${var.name}-idempotency"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "id"
    type = "S"
  }

  attribute {
    name = "conversationId"
    type = "S"
  }

  # For `worker trace`. Keys only: they are written with the claim of an event and not again, so that the index
  # costs one write an event. What has no conversation is not in it.
  global_secondary_index {
    name            = "conversationId-index"
    hash_key        = "conversationId"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "expiresAt"
    enabled        = true
  }

  # To go back in time would be to forget what was done since, and to do it twice; but a table lost
  # by mistake is worse.
  point_in_time_recovery {
    enabled = true
  }
}
