"""Answers requests: from the cache, or by execution."""
