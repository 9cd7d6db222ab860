"""JSON-RPC requests to EVM nodes."""

from indexer.rpc.endpoint import Endpoint
from indexer.rpc.errors import NoAnswer, RpcError
from indexer.rpc.head_socket import HeadSocket
from indexer.rpc.pool import Pool, open_pool

__all__ = ["Endpoint", "HeadSocket", "NoAnswer", "Pool", "RpcError", "open_pool"]
