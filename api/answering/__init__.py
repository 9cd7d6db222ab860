"""From a request to its answer, kept or made."""
