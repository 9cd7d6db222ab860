"""Reads and writes the tables: the only SQL that writes."""

from indexer.store.checkpoint import Checkpoint, Fenced, KeptBlock
from indexer.store.rollback import Cause, RollbackCounts
from indexer.store.store import Store, Written

__all__ = ["Cause", "Checkpoint", "Fenced", "KeptBlock", "RollbackCounts", "Store", "Written"]
