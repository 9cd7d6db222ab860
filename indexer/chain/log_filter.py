"""The watched contracts: which logs may be theirs, by the request and by a header's bloom."""

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter

from indexer.chain.wire import BLOOM_WAY_OUT, Header, RawLog, WrongAnswer
from indexer.proof.bloom import Bloom


class LogFilter:
    """Checks logs of the watched contracts. `bloom` remembers the bits of addresses and topics."""

    def __init__(self, addresses: Collection[bytes]) -> None:
        self.addresses = frozenset(addresses)
        self.bloom = Bloom()

    def check_range(self, logs: Iterable[RawLog], first: int, last: int) -> list[RawLog]:
        """Returns the logs in order.

        Raises WrongAnswer for a log of another contract or block, a duplicate, and logs of two blocks of one height.
        """
        ordered = sorted(logs, key=attrgetter("position"))
        before: RawLog | None = None
        for log in ordered:
            if log.address not in self.addresses:
                raise WrongAnswer(
                    f"The node returned a log of contract 0x{log.address.hex()}, which was not requested."
                )
            if before is None or log.block_number != before.block_number:
                if not first <= log.block_number <= last:
                    raise WrongAnswer(
                        f"The node returned a log of block {log.block_number}; blocks {first}..{last} were requested."
                    )
            elif log.position == before.position:
                raise WrongAnswer(_repeated(before, log))
            elif log.block_hash != before.block_hash:
                raise WrongAnswer(f"The node returned logs of two different blocks {log.block_number}.")
            before = log
        return ordered

    def check_header(self, header: Header, logs: Sequence[RawLog]) -> bool:
        """Returns whether the header's bloom confirms the logs, which are all of ours in that block.

        Returns False if there is no bloom, or an empty one beside logs. Raises WrongAnswer for a contradiction.
        """
        for log in logs:
            if log.block_hash != header.hash:
                raise WrongAnswer(
                    f"Block {header.number} is 0x{header.hash.hex()}, "
                    f"but its logs are of block 0x{log.block_hash.hex()}: the node answers from two branches."
                )
        bloom = header.logs_bloom
        if bloom is None or (logs and not any(bloom)):
            return False  # some chains leave it empty
        if not self.bloom.admits(bloom, ((log.address, log.topics) for log in logs)):
            raise WrongAnswer(
                f"The node returned a log of block {header.number} that the header's bloom excludes.",
                BLOOM_WAY_OUT,
            )
        return True

    def may_hold_ours(self, header: Header) -> bool:
        """Returns whether the header's bloom admits a log of a watched contract."""
        bloom = header.logs_bloom
        return bloom is not None and any(self.bloom.admits(bloom, [(address, b"")]) for address in self.addresses)

    def excludes_ours(self, header: Header) -> bool:
        """Returns whether the bloom rules out logs of watched contracts; an empty bloom rules out nothing."""
        return header.logs_bloom is not None and any(header.logs_bloom) and not self.may_hold_ours(header)


def _repeated(first: RawLog, second: RawLog) -> str:
    """Returns the message for two logs with the same index in a block."""
    text = f"The node returned log {first.log_index} of block {first.block_number} twice"
    if first.transaction_hash == second.transaction_hash:
        return f"{text}."
    hashes = " and ".join(f"0x{log.transaction_hash.hex()}" for log in (first, second))
    return f"{text}, in the transactions {hashes}: it counts logs by transaction, not by block."
