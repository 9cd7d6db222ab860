"""What a fact names is all that it changes: the fold may have the open rows of that and of nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

import pytest

from indexer.changes import Changes, OpenRows
from indexer.fold.fold import fold
from indexer.fold.located_fact import KEYED_TABLES, LocatedFact, named_by
from indexer.fold.policy import Policy
from schema.events import (
    AboutSubject,
    AccessGranted,
    Address,
    DeviceAttributeSet,
    DeviceTransferred,
    Fact,
    Hash,
    Seconds,
    SyntheticDeviceAttributeSet,
    TestKind,
    UserAuthorized,
    VehicleAttributeSet,
)
from schema.profile.model import GrantPolicy, ZeroExpiry
from schema.profile.reader import Contracts
from schema.tables.kinds import SPANS
from schema.tables.values import position

ALICE, BOB, CONTRACT = Address(b"\xa1" * 20), Address(b"\xb0" * 20), Address(b"\xce" * 20)
CONTRACTS = Contracts(CONTRACT, CONTRACT, CONTRACT, CONTRACT, CONTRACT, CONTRACT)
ALL_SUBJECTS = frozenset({"device", "vehicle", "synthetic_device", "manufacturer"})
POLICY = Policy(
    {
        "contract": GrantPolicy(
            zero_expiry=ZeroExpiry.NEVER,
            expiry_inclusive=False,
            zero_permissions_revoke=False,
            voided_by_transfer=ALL_SUBJECTS,
        )
    },
    mints_are_whole=bool,
    manufacturer_licenses_are_whole=bool,
    hardware_licenses_are_whole=bool,
    licensed_by_tokens=True,
    claims_provision=bool,
)
SUBJECTS: Sequence[Mapping[str, Any]] = (
    {"vehicle_id": 1},
    {"synthetic_device_id": 1},
    {"manufacturer_id": 1},
    {"grantor": ALICE},
)
BY_NAME = {"user": BOB, "sender": ALICE, "recipient": BOB, "source": "contract", "scope": "", "attribute": "color"}
BY_TYPE = {int: 1, bool: True, str: "text", Hash: b"\x01" * 32, Address: ALICE, Seconds: 1, TestKind: TestKind.QUALITY}
KEYED = [table.name for table in SPANS.values() if table.key_columns]


def a(fact_type: Any, **values: Any) -> Fact:
    """Returns a fact of the type: values by its fields' names and types, those that name a subject only if given."""
    hints = get_type_hints(fact_type)
    for name in set(fact_type.__struct_fields__) - set(getattr(fact_type, "one_of", ())):
        kinds = [kind for kind in (hints[name], *get_args(hints[name])) if kind in BY_TYPE]
        values.setdefault(name, BY_NAME.get(name, BY_TYPE[kinds[0]]))
    fact: Fact = fact_type(**values)
    return fact


BEFORE = (
    a(DeviceTransferred, sender=Address(bytes(20)), recipient=ALICE),
    *(a(fact) for fact in (UserAuthorized, DeviceAttributeSet, VehicleAttributeSet, SyntheticDeviceAttributeSet)),
    *(a(AccessGranted, **subject) for subject in SUBJECTS),
)
FACTS = [
    a(fact_type, **subject)
    for fact_type in get_args(Fact)
    for subject in (SUBJECTS if issubclass(fact_type, AboutSubject) else ({},))
]


def apply(open_rows: OpenRows, block: int, *facts: Fact) -> tuple[Changes, list[LocatedFact]]:
    located = [LocatedFact(position(block, place), block, 0, fact, CONTRACTS) for place, fact in enumerate(facts)]
    return fold(open_rows, located, POLICY), located


def without(open_rows: OpenRows, names: Mapping[tuple[str, str], Any]) -> OpenRows:
    """Returns the open rows, but of tables with a key only those whose owner is named there."""
    tables: dict[str, Any] = {name: dict(getattr(open_rows, name)) for name in SPANS if not SPANS[name].repeats}
    for name in KEYED:
        owners = {
            (column, open_rows.ids[identity][token])
            for identity, column in SPANS[name].owners.items()
            for token in names.get((name, identity), ())
        }
        tables[name] = {
            key: row
            for key, row in tables[name].items()
            if owners & {(column, getattr(row, column)) for column in SPANS[name].owners.values()}
        }
    return OpenRows(open_rows.ids, **tables)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_changes_the_rows_that_it_names_and_no_others(fact: Fact) -> None:
    open_rows = apply(OpenRows(), 1, *BEFORE)[0].open_rows
    assert all(getattr(open_rows, table) for table in KEYED)
    changes, located = apply(open_rows, 2, fact)
    of_named, _ = apply(without(open_rows, named_by(located).keyed), 2, fact)
    assert (of_named.readings, of_named.inserted, of_named.closed) == (
        changes.readings,
        changes.inserted,
        changes.closed,
    )
    of_none, _ = apply(without(open_rows, {}), 2, fact)
    assert (of_none.closed != changes.closed) == (type(fact) in KEYED_TABLES)
