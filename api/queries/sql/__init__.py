"""How a SELECT is made: filters, orders, pages, points in time."""
