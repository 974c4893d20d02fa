output "worker" {
  description = "All outputs of the module."
  value       = module.worker
}

output "secret_name" {
  description = "Secret that wants its value."
  value       = aws_secretsmanager_secret.worker.name
}
