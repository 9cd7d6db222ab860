"""What any command needs: settings, logs, metrics, output."""
