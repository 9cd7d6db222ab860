"""The parts of every command: settings, logs, metrics, output."""
