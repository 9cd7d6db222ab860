"""SELECTs: what the API asks the database. They know tables and positions, and nothing of GraphQL."""
