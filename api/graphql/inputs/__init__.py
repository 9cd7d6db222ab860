"""Arguments: filters, orders, points in time."""
