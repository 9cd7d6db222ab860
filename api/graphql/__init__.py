"""The GraphQL schema: its types, its arguments, and their execution."""
