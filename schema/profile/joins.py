"""Facts of two logs: a rule's log and that of the event it joins, both of one transaction.

A join looks at the logs of one transaction and at nothing else. So it does not depend on which blocks are read at once,
and is the same after a reorg and in a rebuild; and the receipt of the transaction proves both logs.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from schema.abi.decoder import compile_expression, variable
from schema.abi.signature import WORD
from schema.abi.words import DecodeError
from schema.events import Address
from schema.profile.rules import Join, Path, Rule


class EmittedLog(Protocol):
    """A log; topics are concatenated."""

    @property
    def address(self) -> bytes: ...
    @property
    def topics(self) -> bytes: ...
    @property
    def data(self) -> bytes: ...


class BlockLog(EmittedLog, Protocol):
    """A log and the index of its transaction in the block."""

    @property
    def transaction_index(self) -> int: ...


Shape = tuple[bytes, bytes, int]
"""The emitter, topic0 and the bytes of topics of a log."""

Group = tuple[int, Hashable]
"""The number of a rule, and the values in which its log and the joined log are equal."""


class JoinedLog(NamedTuple):
    """What a rule needs of the log that it joins: its arguments, and the values in which it equals the rule's log."""

    arguments: tuple[Any, ...]
    equal: Hashable


class Partner(Struct, frozen=True, gc=False):
    """The joined event of a rule. `read(topics, data)` returns a JoinedLog."""

    rule: Rule
    read: Callable[[bytes, bytes], JoinedLog]


def shape_of(log: EmittedLog) -> Shape:
    return log.address, log.topics[:WORD], len(log.topics)


def compile_partner(rule: Rule, join: Join) -> Partner:
    """Generates the decoder of a joined event."""
    arguments = "".join(f"{variable(index)}, " for index in range(len(join.event.inputs)))
    equal = tuple_of(value_at(theirs) for _, theirs in join.on)
    names = {"JoinedLog": JoinedLog}
    return Partner(
        rule, compile_expression(join.event, f"JoinedLog(({arguments}), {equal})", ("topics", "data"), names)
    )


def partner_shapes(join: Join, addresses: Mapping[str, Sequence[Address]]) -> Iterator[Shape]:
    """Yields the shapes of the logs that may be joined."""
    for emitter in addresses.get(join.contract, ()):
        yield emitter, join.event.topic0, WORD * join.event.topic_count


def joined_logs(
    partners: Mapping[Shape, Sequence[Partner]], logs: Sequence[EmittedLog], block_number: int
) -> Mapping[Group, Sequence[tuple[Any, ...]]]:
    """Returns the arguments of the logs of a transaction that may be joined, in order. Undecodable ones are none."""
    groups: dict[Group, list[tuple[Any, ...]]] = defaultdict(list)
    for log in logs:
        for partner in partners.get(shape_of(log), ()):
            if partner.rule.first_block <= block_number <= partner.rule.last_block:
                try:
                    arguments, equal = partner.read(log.topics, log.data)
                except DecodeError:
                    continue
                groups[partner.rule.number, equal].append(arguments)
    return groups


def miscount(rule: Rule, join: Join, count: int, joined: int) -> str:
    """Returns why logs cannot be joined: their numbers in the transaction differ."""
    names = " and ".join(rule.event.value(own).name for own, _ in join.on)
    with_equal = f" with the same {names}" if names else ""
    return (
        f"{rule.event.name}: the transaction has {count} logs of it and {joined} of {join.event.name}{with_equal}, "
        "so it is unknown which of them belong together"
    )


def tuple_of(expressions: Iterator[str]) -> str:
    return f"({''.join(f'{expression}, ' for expression in expressions)})"


def value_at(path: Path) -> str:
    """Returns the expression of a value inside a generated function."""
    return variable(path[0]) + "".join(f"[{index}]" for index in path[1:])


FactOf = Callable[[bytes, bytes, tuple[Any, ...]], Any]
"""Reads the fact, or the facts of a rule with `each`, of topics, data and joined arguments. Raises DecodeError."""
