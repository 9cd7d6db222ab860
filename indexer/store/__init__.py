"""The only SQL that writes."""

from indexer.store.checkpoint import Checkpoint, Fenced, KeptBlock
from indexer.store.rollback import Cause, Undone
from indexer.store.store import Store, Stored

__all__ = ["Cause", "Checkpoint", "Fenced", "KeptBlock", "Store", "Stored", "Undone"]
