"""What an auditor asks: judgements of a device's provenance, and the events that show them."""
