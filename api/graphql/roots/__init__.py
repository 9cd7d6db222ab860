"""The root fields: queries and subscriptions."""
