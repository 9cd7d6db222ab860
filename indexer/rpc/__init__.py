"""JSON-RPC requests to EVM nodes."""
