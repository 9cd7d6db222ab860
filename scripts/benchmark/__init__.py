"""The benchmark: a synthetic chain over real HTTP, the indexer and the API on it, and an ordinary indexer beside it."""
