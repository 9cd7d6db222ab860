"""What operators see: status, metrics, progress, startup failures."""
