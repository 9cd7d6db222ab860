"""A database of half a million events, written by SQL in seconds, with the rows that the store would write.

50,000 devices have ten events each: minted, sold, updated, tested twice, authorized, updated, reset, provisioned and
recycled. Event number `round * DEVICES + device` is the device's event of that round; a block has ten events. Half
of the devices are in vehicles, which have no events. One vehicle of a hundred is burned.
"""

from collections.abc import Iterator

from sqlalchemy import Engine, text

from indexer.store import Store
from indexer.store.lease import Lease
from indexer.store.watch_set import WatchedContract, register
from schema.events import Kind
from schema.profile.model import load_profile
from schema.tables.database import connect, migrate
from schema.tables.rows import DeviceKey
from schema.tables.values import OPEN

CHAIN_ID = 31337
CONTRACT = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
DEVICES, ROUNDS = 50_000, 10
EVENTS = DEVICES * ROUNDS
IN_A_BLOCK = 10
MAKERS, LICENSES, OWNERS = 200, 1_000, 5_000
VEHICLES = DEVICES // 2
BEGAN = 1_600_000_000
VEHICLE = "i + 10000"
"""The id of a vehicle: ids are positions, and block 0 has no events of devices."""

KINDS = (
    Kind.DEVICE_MINTED,
    Kind.DEVICE_TRANSFERRED,
    Kind.FIRMWARE_UPDATED,
    Kind.TEST_RECORDED,
    Kind.TEST_RECORDED,
    Kind.USER_AUTHORIZED,
    Kind.FIRMWARE_UPDATED,
    Kind.FACTORY_RESET,
    Kind.DEVICE_PROVISIONED,
    Kind.END_OF_LIFE_RECORDED,
)
FUNCTIONS = {
    "sqlite": {
        "numbers": "(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {} - 1) SELECT i FROM n)",
        "padded": "printf('%0{}d', {})",
        "blob": "CAST({} AS BLOB)",
    },
    "postgresql": {
        "numbers": "(SELECT i::bigint AS i FROM generate_series(0, {} - 1) AS n(i)) n",
        "padded": "lpad(({1})::text, {0}, '0')",
        "blob": "convert_to({}, 'UTF8')",
    },
}


def build(url: str) -> Engine:
    """Fills an empty database, builds its indexes and statistics as an indexer does, and returns its engine."""
    engine = connect(url)
    migrate(engine)
    profile, contracts = load_profile("device_certificate"), [WatchedContract("certificate", CONTRACT, 0, True)]
    with engine.begin() as connection:
        register(connection, CHAIN_ID, profile, contracts)
    with engine.connect() as connection:
        for statement in _Rows(connection.dialect.name).statements():
            connection.execute(text(statement))
        connection.commit()
    lease = Lease(engine, CHAIN_ID)
    assert lease.try_acquire() is None
    store = Store(engine, CHAIN_ID, lease.epoch)
    store.finish_backfill(store.checkpoint())
    lease.release()
    return engine


class _Rows:
    """The INSERT of each table. `i` numbers the rows; texts and hashes are padded digits."""

    def __init__(self, dialect: str) -> None:
        self._functions = FUNCTIONS[dialect]
        self._true, self._false = ("1", "0") if dialect == "sqlite" else ("true", "false")

    def statements(self) -> Iterator[str]:
        yield from self._chain()
        yield from self._licenses()
        yield from self._vehicles()
        yield self._insert("device", DEVICES, id=self._at(0), contract=self._contract, token_id=self._blob("i", 32))
        yield from self._versions()
        yield from self._activities()
        yield from self._grants()
        yield from self._facts()

    def _chain(self) -> Iterator[str]:
        last = EVENTS // IN_A_BLOCK
        hash = self._blob(str(last), 32)
        yield (
            f"UPDATE chain SET indexed_number = {last}, indexed_hash = {hash}, indexed_time = {BEGAN + 60 * last}, "
            f"head_number = {last}, finalized_number = {last - 64}, safe_number = {last - 32}"
        )
        hashes = dict.fromkeys(("parent_hash", "state_root", "transactions_root", "receipts_root"), self._blob("i", 32))
        yield self._insert(
            "block",
            last + 1,
            number="i",
            hash=self._blob("i", 32),
            timestamp=f"{BEGAN} + 60 * i",
            level="CASE WHEN i < 40000 THEN 2 ELSE 1 END",
            digest=self._blob("i", 32),
            **hashes,
        )
        round = f"(i / {DEVICES})"
        kinds = " ".join(f"WHEN {number} THEN {int(kind)}" for number, kind in enumerate(KINDS))
        yield self._insert(
            "event",
            EVENTS,
            position=self._position("i"),
            address=self._contract,
            topics=self._blob(f"i % {DEVICES}", 64),
            data=self._blob("i", 64),
            transaction_hash=self._blob("(i / 4) * 7919 % 1000003", 32),
            transaction_index="i % 5",
            kind=f"CASE {round} {kinds} END",
            device_id=self._position(f"i % {DEVICES}"),
            event_time=f"CASE WHEN {round} = 5 THEN NULL ELSE {BEGAN} + 60 * (i / {IN_A_BLOCK}) - i % 1000 END",
            biz_step=f"CASE WHEN {round} = 0 THEN 1 WHEN {round} IN (3, 4) THEN 3 ELSE 0 END",
            disposition=f"CASE WHEN {round} = 0 THEN 0 WHEN {round} IN (3, 4) THEN 1 ELSE NULL END",
            flags="CASE WHEN i % 1000 = 7 THEN 1 ELSE 0 END",
        )
        logs = {"address": self._contract, "topics": self._blob("i", 64), "data": self._blob("i", 64)}
        for column, kind, count, first in (
            ("manufacturer_id", Kind.MANUFACTURER_LICENSED, MAKERS, 100),
            ("hardware_license_id", Kind.HARDWARE_LICENSED, LICENSES, 1_000),
        ):
            yield self._insert(
                "event",
                count,
                position=f"i + {first}",
                transaction_hash=self._blob(f"i + {10**12}", 32),
                transaction_index="0",
                kind=str(int(kind)),
                flags="0",
                **logs,
                **{column: f"i + {first}"},
            )

    def _licenses(self) -> Iterator[str]:
        token = {"contract": self._contract, "token_id": self._blob("i", 32)}
        span = {"valid_to": str(OPEN), "granted_at": str(BEGAN), "expires_at": str(OPEN)}
        maker = {"manufacturer_id": "i + 100", "valid_from": "i + 100", "grant_position": "i + 100"}
        yield self._insert("manufacturer", MAKERS, id="i + 100", **token)
        yield self._insert(
            "manufacturer_version",
            MAKERS,
            account=self._blob("i", 20),
            name=self._text("Maker ", "i", 5),
            name_key=self._text("Maker ", "i", 5),
            **maker,
            **span,
        )
        hardware = {"hardware_license_id": "i + 1000", "valid_from": "i + 1000", "grant_position": "i + 1000"}
        yield self._insert("hardware_license", LICENSES, id="i + 1000", **token)
        yield self._insert(
            "hardware_license_version",
            LICENSES,
            manufacturer_id=f"i % {MAKERS} + 100",
            model=self._text("Model ", "i", 5),
            model_key=self._text("Model ", "i", 5),
            hardware_revision="'B'",
            hardware_revision_key="'B'",
            **hardware,
            **span,
        )

    def _vehicles(self) -> Iterator[str]:
        yield self._insert("vehicle", VEHICLES, id=VEHICLE, contract=self._contract, token_id=self._blob("i", 32))
        definition = self._text("make_model_", "i % 500", 4)
        yield self._insert(
            "vehicle_version",
            VEHICLES,
            vehicle_id=VEHICLE,
            valid_from=VEHICLE,
            valid_to=str(OPEN),
            owner=self._blob(f"i % {OWNERS}", 20),
            manufacturer_id=f"i % {MAKERS} + 100",
            definition_id=definition,
            definition_id_key=definition,
            mint_position=VEHICLE,
            minted_at=f"{BEGAN} + i",
            burn_position=f"CASE WHEN i % 100 = 7 THEN {VEHICLE} END",
            burned_at=f"CASE WHEN i % 100 = 7 THEN {BEGAN} + i END",
        )

    def _versions(self) -> Iterator[str]:
        columns = {
            "address": self._blob("i", 20),
            "serial_number": self._text("SN-", "i", 8),
            "serial_number_key": self._text("SN-", "i", 8),
            "imei": self._padded("i", 15),
            "imei_key": self._padded("i", 15),
            "imei_valid": "i % 3",
            "dev_eui": self._padded("i", 16),
            "dev_eui_key": self._padded("i", 16),
            "manufacturer_id": f"i % {MAKERS} + 100",
            "hardware_license_id": f"i % {LICENSES} + 1000",
            "manufacturer_license_at_mint": "1",
            "hardware_licensed_at_mint": "1",
            "manufactured_at": f"{BEGAN} - i",
            "mint_position": self._at(0),
            "minted_at": f"{BEGAN} + 60 * (i / {IN_A_BLOCK})",
            "initial_firmware": "'1.0.0'",
            "initial_firmware_key": "'1.0.0'",
            "initial_version_key": "'1.0.0'",
            "in_circuit_test": "i % 3",
            "mechanical_test": "-1",
            "quality_inspection": "1",
            "sanitized_before_disposal": "2",
            "end_of_life_status": "0",
        }
        sold = self._blob(f"i % {OWNERS}", 20)
        paired = f"CASE WHEN i < {VEHICLES} THEN {VEHICLE} END"
        for begins, ends, owner, provisioned in ((0, 1, self._contract, 0), (1, 8, sold, 0), (8, None, sold, 1)):
            yield self._insert(
                "device_version",
                DEVICES,
                device_id=self._at(0),
                valid_from=self._at(begins),
                valid_to=self._end(ends),
                owner=owner,
                vehicle_id=paired if provisioned else "NULL",
                provisioned_at=str(BEGAN) if provisioned else "NULL",
                provisioned_after_quality=str(provisioned),
                **columns,
            )
        keys = {name: columns[name] for name in DeviceKey.__struct_fields__ if name in columns}
        for begins, ends, owner, vehicle in (
            (0, 1, self._contract, "NULL"),
            (1, 8, sold, "NULL"),
            (8, None, sold, paired),
        ):
            yield self._insert(
                "device_key",
                DEVICES,
                device_id=self._at(0),
                valid_from=self._at(begins),
                valid_to=self._end(ends),
                owner=owner,
                vehicle_id=vehicle,
                **keys,
            )

    def _activities(self) -> Iterator[str]:
        for begins, ends in ((0, 2), (2, 6), (6, 9), (9, None)):
            firmware = self._text(f"{begins}.", "i % 50", 1)
            yield self._insert(
                "device_activity",
                DEVICES,
                device_id=self._at(0),
                valid_from=self._at(begins),
                valid_to=self._end(ends),
                updated_at=f"{BEGAN} + 60 * (({begins} * {DEVICES} + i) / {IN_A_BLOCK})",
                firmware=firmware,
                firmware_key=firmware,
                firmware_version_key=self._text(f"{begins}.", "i % 50", 3),
                firmware_updated_at=f"{BEGAN} + i" if begins else "NULL",
                factory_reset_count="1" if begins > 6 else "0",
                active_after_end_of_life=self._false,
            )

    def _grants(self) -> Iterator[str]:
        organization = self._text("Organization ", "i % 1000", 4)
        yield self._insert(
            "authorization",
            DEVICES,
            device_id=self._at(0),
            valid_from=self._at(5),
            valid_to=f"CASE WHEN i % 5 = 0 THEN {OPEN} ELSE {self._at(9)} END",
            user_address=self._blob("i % 20000", 20),
            source="'certificate'",
            scope="''",
            organization=organization,
            organization_key=organization,
            expires_at=f"CASE WHEN i % 7 = 0 THEN {BEGAN + 10**9} ELSE {OPEN} END",
            granted_at=f"{BEGAN} + 60 * ((5 * {DEVICES} + i) / {IN_A_BLOCK})",
        )

    def _facts(self) -> Iterator[str]:
        for round, kind in ((3, "IN_CIRCUIT"), (4, "QUALITY")):
            yield self._fact("test_result", round, kind=f"'{kind}'", passed=self._true)
        for round in (2, 6):
            yield self._fact("firmware_update", round, to_version="'2.0.0'")
        yield self._fact("factory_reset", 7, reset_at=str(BEGAN))
        yield self._fact("end_of_life_step", 9, process="1")
        for round in (0, 1):
            yield self._fact("transfer", round, sender=self._contract, recipient=self._blob("i", 20))

    def _fact(self, table: str, round: int, **columns: str) -> str:
        return self._insert(table, DEVICES, position=self._at(round), device_id=self._at(0), **columns)

    def _insert(self, table: str, count: int, **columns: str) -> str:
        numbers = self._functions["numbers"].format(count)
        return (
            f'INSERT INTO "{table}" (chain_id, {", ".join(columns)}) '
            f"SELECT {CHAIN_ID}, {', '.join(columns.values())} FROM {numbers}"
        )

    @property
    def _contract(self) -> str:
        return f"x'{CONTRACT.hex()}'" if self._true == "1" else f"'\\x{CONTRACT.hex()}'::bytea"

    def _at(self, round: int) -> str:
        return self._position(f"({round} * {DEVICES} + i)")

    def _end(self, round: int | None) -> str:
        return str(OPEN) if round is None else self._at(round)

    def _position(self, number: str) -> str:
        return f"(((({number}) / {IN_A_BLOCK} + 1) << 20) | (({number}) % {IN_A_BLOCK}))"

    def _padded(self, number: str, digits: int) -> str:
        return self._functions["padded"].format(digits, number)

    def _text(self, prefix: str, number: str, digits: int) -> str:
        return f"'{prefix}' || {self._padded(number, digits)}"

    def _blob(self, number: str, digits: int) -> str:
        return self._functions["blob"].format(self._padded(number, digits))
