"""The audit bundle of a device: one JSON document with everything that a check of it needs. See docs/bundle.md."""
