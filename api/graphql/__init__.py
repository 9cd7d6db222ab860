"""The GraphQL schema: what may be asked, and what is returned."""
