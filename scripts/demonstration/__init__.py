"""The demo: a chain, a contract, a fleet with two years of history, the indexer and the API, until Ctrl-C."""
