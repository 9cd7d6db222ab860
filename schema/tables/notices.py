"""Notices: the channels and texts that the indexer and the API share beside the tables."""

CHANNEL = "certindex"
"""The PostgreSQL channel that the indexer notifies when it commits."""

STANDBY_SECONDS = 30
"""Seconds without a heartbeat after which a standby is no longer counted."""

UNKNOWN_HASH = bytes(32)
"""The hash of the checkpoint before the first block is indexed."""


def blocks_to_start(indexed_number: int, indexed_hash: bytes, head_number: int | None) -> int:
    """Returns by how many blocks the first block to index lies above the head; 0 if not, or if no head is known."""
    if head_number is None or indexed_hash != UNKNOWN_HASH:
        return 0
    return max(indexed_number + 1 - head_number, 0)


def rebuild_text(profile: str) -> str:
    """Returns what to do if this release has another text of the profile than the database."""
    return (
        f"the database was made with another text of the profile {profile} than that of this release; "
        f"to read all events by the new text: certindex rebuild --profile {profile}"
    )


def waiting_text(indexed_number: int, head_number: int) -> str:
    """Returns what an index waits for whose first block lies above the head."""
    first = indexed_number + 1
    return (
        f"the first block to index (START_BLOCK) is {first}, {first - head_number} blocks above the head, block "
        f"{head_number}: indexing begins when the chain reaches it"
    )
