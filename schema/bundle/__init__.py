"""The audit bundle of a device: one JSON document with everything a check needs; see docs/reference/bundle.md."""
