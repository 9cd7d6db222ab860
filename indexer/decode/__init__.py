"""From logs to facts, by the profile."""
