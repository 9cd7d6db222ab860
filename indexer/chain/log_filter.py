"""The watched contracts: which logs may be theirs, by the request and by a header's bloom."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from operator import attrgetter

from indexer.chain.wire import BLOOM_WAY_OUT, Header, RawLog, WrongAnswer
from indexer.errors import Stop
from indexer.proof.bloom import Bloom
from indexer.proof.state_sync import uncovered_transaction
from schema.tables.rows import positioned


class LogFilter:
    """Checks logs of the watched contracts of a chain. `bloom` remembers the bits of addresses and topics.

    The logs of a contract before its start block are left out: it is watched from there on, whatever range is read.
    """

    def __init__(self, chain_id: int, addresses: Collection[bytes]) -> None:
        self.chain_id = chain_id
        self.bloom = Bloom()
        self.watch(dict.fromkeys(addresses, 0))

    def watch(self, start_blocks: Mapping[bytes, int]) -> None:
        """Watches these contracts from now on, each from a block on."""
        self.start_blocks = dict(start_blocks)
        self.requested = sorted("0x" + address.hex() for address in start_blocks)
        self._has_starts = any(start_blocks.values())

    def check_range(self, logs: Iterable[RawLog], first: int, last: int) -> list[RawLog]:
        """Returns the logs in order.

        Raises WrongAnswer for a log of another contract or block, a duplicate, and logs of two blocks of one height.
        """
        ordered = _in_order(logs)
        before: RawLog | None = None
        for log in ordered:
            if log.address not in self.start_blocks:
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
        if self._has_starts:
            return [log for log in ordered if log.block_number >= self.start_blocks[log.address]]
        return ordered

    def check_header(self, header: Header, logs: Sequence[RawLog]) -> bool:
        """Returns whether the header's bloom confirms the logs, which are all of ours in that block.

        Returns False if there is no bloom, or an empty one beside logs, and for logs that no bloom covers. Raises
        WrongAnswer for a contradiction.
        """
        for log in logs:
            if log.block_hash != header.hash:
                raise WrongAnswer(
                    f"Block {header.number} is 0x{header.hash.hex()}, "
                    f"but its logs are of block 0x{log.block_hash.hex()}: the node answers from two branches."
                )
        bloom = header.logs_bloom
        uncovered = self.uncovered_transaction(header)
        covered = [log for log in logs if log.transaction_hash != uncovered]
        if bloom is None or (covered and not any(bloom)):
            return False  # some chains leave it empty
        if not self.bloom.admits(bloom, ((log.address, log.topics) for log in covered)):
            raise WrongAnswer(
                f"The node returned a log of block {header.number} that the header's bloom excludes.",
                BLOOM_WAY_OUT,
            )
        return len(covered) == len(logs)

    def uncovered_transaction(self, header: Header) -> bytes | None:
        """Returns the hash of the block's transaction whose logs no bloom and no root covers, if it may have one."""
        return uncovered_transaction(self.chain_id, header.number, header.hash)

    def union(self, answers: Sequence[Sequence[RawLog]]) -> list[RawLog] | None:
        """Returns the logs of all answers, in order, if some answers only leave out the uncovered logs of a block.

        Returns None if they differ otherwise.
        """
        logs = {log.position: log for answer in answers for log in answer}
        uncovered = {position for position, log in logs.items() if self._is_uncovered(log)}
        for answer in answers:
            if any(logs[log.position] != log for log in answer):
                return None
            blocks = {log.block_number for log in answer if log.position in uncovered}
            left_out = logs.keys() - {log.position for log in answer}
            if any(position not in uncovered or logs[position].block_number in blocks for position in left_out):
                return None
        return [logs[position] for position in sorted(logs)]

    def _is_uncovered(self, log: RawLog) -> bool:
        return log.transaction_hash == uncovered_transaction(self.chain_id, log.block_number, log.block_hash)

    def may_hold_ours(self, header: Header) -> bool:
        """Returns whether the header's bloom admits a log of a watched contract."""
        bloom = header.logs_bloom
        return bloom is not None and any(
            self.bloom.admits(bloom, [(address, b"")])
            for address, start in self.start_blocks.items()
            if start <= header.number
        )

    def excludes_ours(self, header: Header) -> bool:
        """Returns whether the bloom rules out logs of watched contracts.

        An empty bloom rules out nothing, and no bloom rules out uncovered logs.
        """
        if header.logs_bloom is None or not any(header.logs_bloom) or self.uncovered_transaction(header) is not None:
            return False
        return not self.may_hold_ours(header)


def _in_order(logs: Iterable[RawLog]) -> list[RawLog]:
    """Returns logs in the order of their blocks and indexes, each at its position. Raises Stop if a block has none."""
    ordered = sorted(logs, key=attrgetter("position"))
    if all(log.wide_log_index is None for log in ordered):
        return ordered
    blocks = groupby(sorted(ordered, key=attrgetter("block_number", "log_index")), attrgetter("block_number"))
    return [log for number, block in blocks for log in _positioned(number, list(block))]


def _positioned(number: int, block: Sequence[RawLog]) -> list[RawLog]:
    for before, log in pairwise(block):
        if before.log_index == log.log_index:
            raise WrongAnswer(_repeated(before, log))
    try:
        return positioned(number, block)
    except OverflowError:
        raise Stop(
            f"Block {number} has {len(block)} logs of the watched contracts: this release cannot order as many."
        ) from None


def _repeated(first: RawLog, second: RawLog) -> str:
    """Returns the message for two logs with the same index in a block."""
    text = f"The node returned log {first.log_index} of block {first.block_number} twice"
    if first.transaction_hash == second.transaction_hash:
        return f"{text}."
    hashes = " and ".join(f"0x{log.transaction_hash.hex()}" for log in (first, second))
    return f"{text}, in the transactions {hashes}: it counts logs by transaction, not by block."
