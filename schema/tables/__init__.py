"""The database that the indexer writes and the API reads: tables, columns, indexes, engine."""
