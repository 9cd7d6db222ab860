"""Speaking JSON-RPC to an EVM node."""

from indexer.rpc.endpoint import Endpoint, RpcError, shown_url

__all__ = ["Endpoint", "RpcError", "shown_url"]
