"""The audit of a device: judgments of its provenance, and the events that support them."""
