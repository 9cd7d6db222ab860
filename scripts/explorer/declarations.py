"""What the check in the browser takes from the code instead of repeating it: facts, rows, codes and texts.

The rules of the check are written twice, in `indexer/` and in `source/verify/`; a test compares their verdicts. What is
only declared is written once, in Python.
"""

import json
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET
from msgspec.structs import fields

from indexer.check.__main__ import NOT_ESTABLISHED
from indexer.proof.receipt import TYPES
from schema.abi.keccak import keccak256
from schema.bundle import state
from schema.bundle.document import Contents, json_schema
from schema.bundle.subjects import SUBJECTS, SubjectKind
from schema.bundle.trust import trust_of
from schema.bundle.unproven import Cause, explain
from schema.events import FACT_TYPES, KIND_OF, AboutDevice, AboutSubject, Fact, TestKind
from schema.profile.calls import TYPES as CALL_TYPES
from schema.profile.expressions import MOST_ITEMS
from schema.profile.factories import OF_OTHERS, OF_THE_CHAIN
from schema.profile.model import SHIPPED, TRANSFERABLE
from schema.profile.values import FACT_FIELDS, ID_OF_SUBJECT
from schema.tables.kinds import IDENTITIES, LIFECYCLE, SPANS, SpanTable
from schema.tables.values import OPEN
from schema.vocabulary import (
    END_OF_LIFE_WORDS,
    AuthorizationEndReason,
    EndOfLifeProcess,
    EndOfLifeStatus,
    EpcisWords,
    EventFlag,
    FactoryResetReason,
    FirmwareUpdateResult,
    LicenseStatus,
    Sanitization,
    Verdict,
)

PATH = Path(__file__).parent / "source" / "verify" / "declarations.json"
ENUMERATIONS: tuple[type[IntEnum], ...] = (
    AuthorizationEndReason,
    EndOfLifeProcess,
    EndOfLifeStatus,
    FactoryResetReason,
    FirmwareUpdateResult,
    LicenseStatus,
    Sanitization,
    Verdict,
)


def declarations_json() -> str:
    """Returns the declarations as JSON."""
    return json.dumps(declarations(), indent=1, ensure_ascii=False) + "\n"


def declarations() -> dict[str, Any]:
    """Returns everything that the check in the browser takes from the code."""
    return {
        "facts": {name: _fact(fact_type) for name, fact_type in FACT_TYPES.items()},
        "decidingFacts": {
            "ofTheChain": [fact.__name__ for fact in OF_THE_CHAIN],
            "ofOthers": [fact.__name__ for fact in OF_OTHERS],
        },
        "testKinds": [kind.name for kind in TestKind],
        "endOfLifeWords": {str(int(process)): _words(words) for process, words in END_OF_LIFE_WORDS.items()},
        "enumerations": {codes.__name__: {code.name: int(code) for code in codes} for codes in ENUMERATIONS},
        "flags": {flag.name: int(flag) for flag in EventFlag},
        "factFlags": int(state.FACT_FLAGS),
        "spans": {table.name: _span(table) for table in SPANS.values() if not table.repeats},
        "lifecycle": {name: _columns(row) for name, row in LIFECYCLE.items()},
        "identities": list(IDENTITIES),
        "bundleSubjects": [_subject(kind) for kind in SUBJECTS.values()],
        "codes": {column: codes.__name__ for column, codes in state.CODES.items()},
        "booleans": list(state.FLAGS),
        "numbers": list(state.NUMBERS),
        "positions": list(state.POSITIONS),
        "subjects": ID_OF_SUBJECT,
        "transferable": list(TRANSFERABLE),
        "callTypes": {field.value: type for field, type in CALL_TYPES.items()},
        "receiptTypes": list(TYPES),
        "mostItems": MOST_ITEMS,
        "shipped": {path.stem: f"0x{keccak256(path.read_bytes()).hex()}" for path in sorted(SHIPPED.glob("*.toml"))},
        "notEstablished": NOT_ESTABLISHED,
        "causes": {cause.value: _explanations(cause) for cause in Cause},
        "schema": json_schema(),
    }


def _fact(fact_type: type[Fact]) -> dict[str, Any]:
    return {
        "kind": KIND_OF[fact_type].name,
        "aboutDevice": issubclass(fact_type, AboutDevice),
        "oneOf": list(fact_type.one_of) if issubclass(fact_type, AboutSubject) else [],
        "words": _words(fact_type.words),
        "eventTime": _event_time(fact_type),
        "fields": [
            {
                "name": field.name,
                "holds": field.holds.name,
                "required": field.required,
                "codes": field.codes.__name__ if field.codes else None,
                "default": None if info.default is NODEFAULT else info.default,
            }
            for field, info in zip(FACT_FIELDS[fact_type].values(), fields(fact_type), strict=True)
        ],
    }


def _event_time(fact_type: type[Fact]) -> str | None:
    """Returns the field that is the fact's `event_time`: with another number in each field, the one with its number."""
    numbers: dict[str, Any] = {info.name: number for number, info in enumerate(fields(fact_type), 1)}
    time = fact_type(**numbers).event_time
    return next((name for name, number in numbers.items() if number == time), None)


def _words(words: EpcisWords) -> list[str | None]:
    """Returns business step and disposition."""
    _, biz_step, disposition = words
    return [biz_step.name if biz_step else None, disposition.name if disposition else None]


def _subject(kind: SubjectKind) -> dict[str, Any]:
    return {
        "name": kind.name,
        "member": next(field.encode_name for field in fields(Contents) if field.name == kind.name),
        "noun": kind.noun,
        "number": kind.number,
        "tables": list(kind.tables),
        "trust": trust_of(kind.noun),
    }


def _span(table: SpanTable) -> dict[str, Any]:
    return {"oneABlock": table.one_a_block, "owners": list(table.owners.values()), "columns": _columns(table.row)}


def _columns(row: type[msgspec.Struct]) -> dict[str, Any]:
    """Returns the columns that a bundle holds, with their defaults. OPEN is a word: JavaScript rounds the number."""
    return {
        info.name: "OPEN" if info.default == OPEN else None if info.default in (NODEFAULT, UNSET) else info.default
        for info in fields(row)
        if not info.name.endswith("_key")
    }


def _explanations(cause: Cause) -> list[str]:
    """Returns the explanation without and with a block at which the event becomes provable."""
    block: Any = "{block}"
    provable: Any = "{provable}"
    return [explain(cause, block, None), explain(cause, block, provable)]
