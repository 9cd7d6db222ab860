"""Bytes in, bytes out: GraphQL over HTTP, WebSocket and server-sent events, and the pages beside it."""
