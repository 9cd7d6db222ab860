"""Speaking JSON-RPC to EVM nodes."""

from indexer.rpc.endpoint import Endpoint
from indexer.rpc.errors import NoAnswer, RpcError, shown_url, site_of
from indexer.rpc.pool import Pool

__all__ = ["Endpoint", "NoAnswer", "Pool", "RpcError", "shown_url", "site_of"]
