"""The audit of a device: judgements of its provenance, and the events that support them."""
