# As many tasks as the backlog asks for, and no more than the Genesys budget keeps busy.

locals {
  metrics_namespace = "GenesysEventWorker"
  # `fed`: the messages of all tasks that the budget feeds; 0 while nothing is known, and the backlog
  # alone decides. A task says what it knows once a minute, also that it is nothing.
  backlog_per_task = var.collector ? "IF(fed > 0 AND fed < backlog, fed, backlog) / tasks" : "backlog / tasks"
  fed              = "FILL(useful, 0) * ${var.backlog_per_task}"
}

resource "aws_appautoscaling_target" "worker" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${local.cluster_name}/${aws_ecs_service.worker.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

# CloudWatch computes with ten metrics at most: with more queues there is a policy for every four, and
# the largest of what they ask for is what there is.
resource "aws_appautoscaling_policy" "backlog" {
  for_each = { for index, jobs in chunklist(keys(local.jobs), 4) : tostring(index) => jobs }

  name               = "${var.name}-backlog-per-task-${each.key}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension
  resource_id        = aws_appautoscaling_target.worker.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_task
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    # Metric math over the metrics of the queues, the cluster's, and the one that the collector brings.
    customized_metric_specification {
      dynamic "metrics" {
        for_each = each.value

        content {
          id          = "visible_${metrics.key}"
          return_data = false

          metric_stat {
            stat = "Sum"

            metric {
              namespace   = "AWS/SQS"
              metric_name = "ApproximateNumberOfMessagesVisible"

              dimensions {
                name  = "QueueName"
                value = aws_sqs_queue.events[metrics.value].name
              }
            }
          }
        }
      }

      # In flight is what tasks work on, and what waits as a deferred retry. A task hides what is
      # beyond its Genesys budget within seconds: by visible messages alone, a backlog of hours would
      # look like an empty queue, and another task with its share of the budget would not be started.
      # The price: an outage that hides messages holds more tasks, too.
      dynamic "metrics" {
        for_each = each.value

        content {
          id          = "in_flight_${metrics.key}"
          return_data = false

          metric_stat {
            stat = "Sum"

            metric {
              namespace   = "AWS/SQS"
              metric_name = "ApproximateNumberOfMessagesNotVisible"

              dimensions {
                name  = "QueueName"
                value = aws_sqs_queue.events[metrics.value].name
              }
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = local.cluster_name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.worker.name
            }
          }
        }
      }

      metrics {
        id          = "backlog"
        expression  = join(" + ", [for index, _ in each.value : "visible_${index} + in_flight_${index}"])
        return_data = false
      }

      # The largest of all tasks: one that is still new, or does other work, must not hold back all.
      dynamic "metrics" {
        for_each = var.collector ? ["worker_replicas_useful"] : []

        content {
          id          = "useful"
          return_data = false

          metric_stat {
            stat = "Maximum"

            metric {
              namespace   = local.metrics_namespace
              metric_name = metrics.value

              dimensions {
                name  = "service.name"
                value = var.name
              }
            }
          }
        }
      }

      dynamic "metrics" {
        for_each = var.collector ? [local.fed] : []

        content {
          id          = "fed"
          expression  = metrics.value
          return_data = false
        }
      }

      metrics {
        id          = "backlog_per_task"
        label       = "Messages, visible and in flight, per running task"
        expression  = local.backlog_per_task
        return_data = true
      }
    }
  }
}
