"""The only reader: GraphQL over the tables."""
