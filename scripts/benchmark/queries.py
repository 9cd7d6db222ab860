"""The queries that the API is measured with, about devices picked from the database, and one about none."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from scripts.benchmark.databases import reading
from scripts.benchmark.events import MAKERS

PICKED = 1_000
HEAD = text("SELECT max(indexed_number) FROM chain")
ALIKE = text(
    """SELECT token_id FROM device WHERE id IN (SELECT device_id FROM event WHERE device_id IS NOT NULL
    GROUP BY device_id HAVING count(*) = 8) ORDER BY id % 9973, id LIMIT :picked"""
)
"""Devices with eight events, from all over the table."""
HISTORY = 20
OWNED = 50
ALIASES = 100
FLOOR = "f"
"""The letter of the query that reads nothing."""

DEVICE = """query Device($token: BigInt!) { device(by: {tokenId: $token}) {
  tokenId tokenDID owner address serialNumber imei { value valid } mintedAt
  manufacturer { name } firmware { version } endOfLife { status }
  history(first: 20) { nodes { kind eventTime recordTime bizStep flags block { number } transactionHash logIndex finality } }
  authorizedUsers(first: 10) { totalCount nodes { user organization permissions grantedAt expiresAt } }
} }"""  # noqa: E501  # as a client would write it
FLEET = """query Fleet($owner: Address!) { devices(first: 50, filterBy: {owner: {eq: $owner}}) { nodes {
  tokenId serialNumber firmware { version }
  authorizedUsers(first: 5) { nodes { user organization permissions expiresAt } }
} } }"""
NEWEST = """query Newest($maker: BigInt!) {
  devices(first: 20, filterBy: {manufacturerId: {eq: $maker}}, orderBy: {field: MINTED_AT, direction: DESC}) {
    nodes { tokenId owner serialNumber firmware { version } }
  }
}"""
RESETS = """query Resets($block: BigInt!) {
  lifecycleEvents(first: 20, asOf: {block: $block}, filterBy: {kind: {eq: FACTORY_RESET}},
    orderBy: {field: POSITION, direction: DESC}) { nodes { eventTime recordTime device { tokenId serialNumber } } }
}"""
PAST = """query Past($block: BigInt!, $owner: Address!) {
  devices(first: 20, asOf: {block: $block}, filterBy: {owner: {eq: $owner}}) {
    totalCount nodes { tokenId owner firmware { version } endOfLife { status } }
  }
}"""


class Query(NamedTuple):
    """A query with the bodies of its requests. If `cached`, the same body is sent again and again."""

    letter: str
    what: str
    cached: bool
    bodies: Sequence[bytes]


class Picked(NamedTuple):
    """`tokens` are devices with at least 20 events. `owners` have at least 50 devices, if any owner has."""

    tokens: Sequence[int]
    owners: Sequence[bytes]
    head: int


def benchmark_queries(database_url: str, seed: int = 1) -> list[Query]:
    """Returns the queries for a database."""
    with reading(database_url) as connection:
        picked = _pick(connection)
    random = Random(seed)
    return [make(picked, random) for make in QUERIES]


def growth_queries(database_url: str, seed: int = 1) -> list[Query]:
    """Returns queries whose answers are as large in a small database as in a large one."""
    with reading(database_url) as connection:
        tokens = connection.execute(ALIKE, {"picked": PICKED}).scalars()
        numbers = [int.from_bytes(token, "big") for token in tokens]
        head = connection.execute(HEAD).scalar_one()
    random = Random(seed)
    Random(seed).shuffle(numbers)
    makers = [_body(NEWEST, maker=str(maker)) for maker in range(1, MAKERS + 1)]
    resets = [_body(RESETS, block=str(random.randint(head // 2, head))) for _ in range(PICKED)]
    return [
        _device(Picked(numbers, [], head), random),
        Query("g", "the 20 newest devices of a manufacturer", False, makers),
        Query("h", "the 20 newest resets as of a block", False, resets),
    ]


def _pick(connection: Connection) -> Picked:
    tokens = connection.execute(
        text(
            """SELECT token_id FROM device WHERE id IN (SELECT device_id FROM event WHERE device_id IS NOT NULL
            GROUP BY device_id HAVING count(*) >= :history) ORDER BY id LIMIT :picked"""
        ),
        {"history": HISTORY, "picked": PICKED},
    )
    owners = connection.execute(
        text(
            """SELECT owner FROM (SELECT owner, count(*) AS owned FROM device_key
            WHERE valid_to = :open AND owner IS NOT NULL GROUP BY owner) AS held
            ORDER BY abs(owned - :owned), owner LIMIT 50"""
        ),
        {"open": 2**63 - 1, "owned": OWNED + OWNED // 2},
    )
    head = connection.execute(HEAD).scalar_one()
    numbers = [int.from_bytes(row.token_id, "big") for row in tokens]
    return Picked(numbers, [bytes(row.owner) for row in owners], head)


def _device(picked: Picked, random: Random) -> Query:
    bodies = [_body(DEVICE, token=str(token)) for token in picked.tokens]
    return Query("a", "a device, 20 events, its users", False, bodies)


def _fleet(picked: Picked, random: Random) -> Query:
    bodies = [_body(FLEET, owner=_hex(owner)) for owner in picked.owners]
    return Query("b", "50 devices of an owner, their users", False, bodies)


def _past(picked: Picked, random: Random) -> Query:
    bodies = [
        _body(PAST, owner=_hex(random.choice(picked.owners)), block=str(random.randint(picked.head // 2, picked.head)))
        for _ in range(PICKED)
    ]
    return Query("c", "a list as of a block", False, bodies)


def _repeated(picked: Picked, random: Random) -> Query:
    return Query("d", "(a), the same again and again", True, [_body(DEVICE, token=str(picked.tokens[0]))])


def _aliased(picked: Picked, random: Random) -> Query:
    bodies = []
    for _ in range(20):
        fields = " ".join(
            f'd{number}: device(by: {{tokenId: "{random.choice(picked.tokens)}"}}) {{ serialNumber owner }}'
            for number in range(ALIASES)
        )
        bodies.append(_body(f"{{ {fields} }}"))
    return Query("e", "100 aliased look-ups", False, bodies)


def _floor(picked: Picked, random: Random) -> Query:
    return Query(FLOOR, "{ __typename }, which reads nothing", False, [_body("{ __typename }")])


QUERIES: Sequence[Callable[[Picked, Random], Query]] = (_device, _fleet, _past, _repeated, _aliased, _floor)


def _body(query: str, **variables: Any) -> bytes:
    return msgspec.json.encode({"query": query, "variables": variables})


def _hex(address: bytes) -> str:
    return "0x" + address.hex()
