# The state machine that is started when a conversation has ended.

locals {
  workflow_functions = { for step, arn in var.workflow_functions : step => arn if arn != null }

  workflow = jsondecode(templatefile("${path.module}/../state-machine/enrich_conversation.asl.json", {
    partition            = local.partition
    fetch_crm_contact    = coalesce(var.workflow_functions.fetch_crm_contact, "none")
    analyze_sentiment    = coalesce(var.workflow_functions.analyze_sentiment, "none")
    update_ticket_system = coalesce(var.workflow_functions.update_ticket_system, "none")
  }))

  # A step without a function keeps its place and its neighbours, but only passes on.
  placeholder_of = {
    fetch_crm_contact    = { Type = "Pass", Result = { status = "not_configured" }, End = true }
    analyze_sentiment    = { Type = "Pass", Result = { status = "not_configured" }, End = true }
    update_ticket_system = { Type = "Pass", Result = { status = "not_configured" }, ResultPath = "$.ticket", Next = "enriched" }
  }
  placeholders = {
    for step, state in local.placeholder_of : step => state
    if !contains(keys(local.workflow_functions), step)
  }

  # A replaced step leaves no transition to its failed state, and a state machine refuses states
  # that nothing leads to.
  orphans = compact([
    contains(keys(local.workflow_functions), "fetch_crm_contact") ? "" : "crm_contact_failed",
    contains(keys(local.workflow_functions), "analyze_sentiment") ? "" : "sentiment_failed",
    contains(keys(local.workflow_functions), "update_ticket_system") ? "" : "ticket_failed",
  ])

  branches = [
    for branch in local.workflow.States.look_up.Branches : merge(branch, {
      States = {
        for name, state in branch.States : name => jsondecode(jsonencode(try(local.placeholders[name], state)))
        if !contains(local.orphans, name)
      }
    })
  ]
  states = merge(
    { for name, state in local.workflow.States : name => state if !contains(local.orphans, name) },
    { look_up = merge(local.workflow.States.look_up, { Branches = local.branches }) },
    { for name, state in local.placeholders : name => state if name == "update_ticket_system" },
  )
}

resource "aws_sfn_state_machine" "workflow" {
  name       = "${var.name}-enrich-conversation"
  role_arn   = aws_iam_role.workflow.arn
  type       = var.state_machine_type
  definition = jsonencode(merge(local.workflow, { States = local.states }))

  logging_configuration {
    log_destination = "${aws_cloudwatch_log_group.workflow.arn}:*"
    level           = "ERROR"
    # The input holds call details: addresses of people.
    include_execution_data = false
  }

  depends_on = [aws_iam_role_policy.workflow]
}

# The prefix keeps the group out of the size limit of CloudWatch Logs' resource policy.
resource "aws_cloudwatch_log_group" "workflow" {
  name              = "/aws/vendedlogs/states/${var.name}-enrich-conversation"
  retention_in_days = var.log_retention_days
}
