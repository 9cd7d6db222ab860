"""The story: one step after another, from the chain to the database."""
