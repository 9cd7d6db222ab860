"""The only writer: follows the chain and keeps the tables."""
