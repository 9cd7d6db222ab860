"""Compares the stored events with providers' receipts and contracts' values."""
