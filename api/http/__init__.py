"""The transports: GraphQL over HTTP, WebSocket and server-sent events, and the endpoints beside it."""
