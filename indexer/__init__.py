"""The only writer of the database: follows the chain and writes the tables."""
