"""The audit bundle of a device or vehicle: one JSON document with all that a check needs; docs/reference/bundle.md."""
