"""What operators see: /metrics, /livez, /readyz, /status."""
