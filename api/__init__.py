"""The only reader of the database: GraphQL, pages, exports and feeds."""
