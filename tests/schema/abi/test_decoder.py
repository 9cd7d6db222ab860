"""Event signatures, and decoding of logs as eth-abi decodes them."""

from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schema.abi.decoder import compile_decoder
from schema.abi.nested import clean_text
from schema.abi.signature import MAX_DEPTH, Argument, EventSignature, SignatureError, parse_event
from schema.abi.words import DecodeError

MINTED = parse_event(
    "CertificateMinted(uint256 indexed tokenId, address indexed device, uint256 indexed manufacturerId, "
    "uint256 hardwareLicenseId, string serialNumber, string imei, uint64 manufacturedAt, string firmwareVersion)"
)
NOTED = parse_event("Noted(string note, uint64 at)")

# Signatures


@pytest.mark.parametrize(
    ("signature", "topic0"),
    [
        (
            "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)",
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        ),
        (
            "event Transfer ( address,address ,uint ) ;",
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        ),
        (
            "ApprovalForAll(address indexed owner, address payable indexed operator, bool approved)",
            "17307eab39ab6107e8899845ad3d59bd9653f200f220920489ca2b5937696c31",
        ),
    ],
)
def test_an_event_is_known_by_the_hash_of_its_canonical_signature(signature: str, topic0: str) -> None:
    assert parse_event(signature).topic0.hex() == topic0


def test_a_signature_has_names_types_and_indexed_arguments() -> None:
    event = parse_event("Sold(uint indexed id, string note, bytes32[] indexed papers, int8)")
    assert event.inputs == (
        Argument("id", "uint256", True),
        Argument("note", "string", False),
        Argument("papers", "bytes32[]", True),
        Argument("", "int8", False),
    )
    assert event.signature == "Sold(uint256,string,bytes32[],int8)"
    assert event.topic_count == 3


@pytest.mark.parametrize(
    ("signature", "what", "column"),
    [
        ("", "expected the event's name, found the end", 1),
        ("Sold", "expected '(', found the end", 5),
        ("Sold(", "expected a type, found the end", 6),
        ("Sold(uint256 id", "expected ',', found the end", 16),
        ("Sold(uint256 id,)", "expected a type, found ')'", 17),
        ("Sold(uint257 id)", "unknown type 'uint257'", 6),
        ("Sold(State state)", "write an enum as uint8", 6),
        ("Sold(fixed128x18 price)", "'fixed128x18' is not supported", 6),
        ("Sold((uint256 a,uint257) pair)", "unknown type 'uint257'", 17),
        ("Sold((uint256 a, bool a) pair)", "a second argument 'a'", 18),
        ("Sold((uint256,bool indexed) pair)", "a component of a tuple cannot be indexed", 20),
        ("Sold(() pair)", "a tuple without components", 6),
        ("Sold(tuple pair)", "expected '(', found 'pair'", 12),
        ("Sold((uint256, bool) pair", "expected ',', found the end", 26),
        (f"Sold({'(' * (MAX_DEPTH + 1)}", f"more than {MAX_DEPTH} tuples inside each other", 6 + MAX_DEPTH),
        (f"Sold(bool{'[]' * (MAX_DEPTH + 1)})", f"more than {MAX_DEPTH} arrays inside each other", 44),
        (f"Sold(uint8[{2**70}] many)", "takes more than 16777216 bytes", 6),
        ("Sold(uint8[0] none)", "expected the array's length or ']', found '0'", 12),
        ("Sold(uint256 id, bool id)", "a second argument 'id'", 18),
        ("Sold(uint256 id) anonymous", "an anonymous event has no topic", 18),
        ("Sold(uint256 id); Bought()", "expected nothing after the arguments, found 'Bought'", 19),
        ("Sold(uint256\n   \N{LATIN SMALL LETTER E WITH ACUTE})", "expected the argument's name", 14),
        ("A(bool indexed a, bool indexed b, bool indexed c, bool indexed d)", "more than 3 indexed arguments", 51),
    ],
)
def test_a_bad_signature_is_refused_with_its_place(signature: str, what: str, column: int) -> None:
    with pytest.raises(SignatureError) as refusal:
        parse_event(signature)
    message, _, caret = str(refusal.value).splitlines()
    assert what in message
    assert message.endswith(f"at column {column}:")
    assert caret == " " * (column + 1) + "^"


def test_a_tuple_has_components_and_its_types_make_the_hash() -> None:
    event = parse_event("Sold(tuple(uint id, (string, bytes32[2])[] notes) indexed what, (address, bool)[3] who)")
    what, who = event.inputs
    assert event.signature == "Sold((uint256,(string,bytes32[2])[]),(address,bool)[3])"
    assert [component.name for component in what.components] == ["id", "notes"]
    assert (what.hashed, who.hashed, what.dynamic, who.dynamic, who.head_size) == (True, False, True, False, 192)


@given(st.text("Sold(uint256 indexed,string)[];$_\n\N{MICRO SIGN}"))
def test_any_text_is_a_signature_or_refused_as_one(text: str) -> None:
    try:
        event = parse_event(text)
    except SignatureError:
        return
    assert parse_event(event.signature).topic0 == event.topic0


# Decoding

WORD_TYPES = [
    "address",
    "bool",
    *(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 64, 128, 160, 248, 256)),
    *(f"bytes{size}" for size in (1, 20, 31, 32)),
]
NESTED_TYPES = [
    "string[]",
    "bytes[2]",
    "uint8[2][]",
    "int64[][3]",
    "(uint256,bool)",
    "(address,string)",
    "(uint8,bytes3[2])[]",
    "(string,(int8,bytes)[2],bool)[]",
    "(bool,(address,string[])[])",
]
FLAT_TYPES = [
    *WORD_TYPES,
    "string",
    "bytes",
    *(f"{name}{array}" for name in WORD_TYPES for array in ("[]", "[3]")),
]
TYPES = [*FLAT_TYPES, *NESTED_TYPES * 3]


def values_of(argument: Argument) -> st.SearchStrategy[Any]:
    if argument.element is not None:
        lengths = (0, 3) if argument.length is None else (argument.length, argument.length)
        return st.lists(values_of(argument.element), min_size=lengths[0], max_size=lengths[1]).map(tuple)
    if argument.components:
        return st.tuples(*map(values_of, argument.components))
    kind = argument.type.rstrip("0123456789")
    size = int(argument.type.removeprefix(kind) or 0)
    match kind:
        case "uint":
            return st.integers(0, 2**size - 1)
        case "int":
            return st.integers(-(2 ** (size - 1)), 2 ** (size - 1) - 1)
        case "bool":
            return st.booleans()
        case "address":
            return st.binary(min_size=20, max_size=20)
        case "bytes" if size:
            return st.binary(min_size=size, max_size=size)
        case _:
            return st.binary(max_size=70)


@st.composite
def logs(draw: st.DrawFn, types: list[str] = TYPES) -> tuple[EventSignature, list[Any], bytes, bytes]:
    """Draws an event, the values of its arguments (text as bytes), and the topics and data of its log by eth-abi."""
    names = draw(st.lists(st.sampled_from(types), max_size=6))
    indexed = draw(st.sets(st.integers(0, max(len(names) - 1, 0)), max_size=3)) if names else set()
    written = [f"{name}{' indexed' if i in indexed else ''} x{i}" for i, name in enumerate(names)]
    event = parse_event(f"Drawn({', '.join(written)})")
    values = [
        draw(st.binary(min_size=32, max_size=32) if argument.hashed else values_of(argument))
        for argument in event.inputs
    ]
    topics = [event.topic0]
    data_types, data_values = [], []
    for argument, value in zip(event.inputs, values, strict=True):
        if argument.indexed:
            topics.append(encode([oracle_type(argument)], [value]))
        else:
            data_types.append(oracle_type(argument))
            data_values.append(value)
    return event, values, b"".join(topics), encode(data_types, data_values)


def oracle_type(argument: Argument) -> str:
    """Returns the type by which eth-abi decodes the same bytes: it has no hashes, and refuses invalid UTF-8."""
    if argument.hashed:
        return "bytes32"
    return argument.type.replace("string", "bytes")


def as_decoded(argument: Argument, value: Any) -> Any:
    if argument.hashed:
        return value
    if argument.element is not None:
        return tuple(as_decoded(argument.element, item) for item in value)
    if argument.components:
        return tuple(map(as_decoded, argument.components, value))
    if argument.type == "string":
        return clean_text(value)
    return address_bytes(value) if argument.type == "address" else value


def address_bytes(value: bytes | str) -> bytes:
    return bytes.fromhex(value[2:]) if isinstance(value, str) else value


@given(logs())
def test_a_log_is_decoded_to_the_values_that_were_encoded(log: tuple[EventSignature, list[Any], bytes, bytes]) -> None:
    event, values, topics, data = log
    expected = tuple(as_decoded(argument, value) for argument, value in zip(event.inputs, values, strict=True))
    assert compile_decoder(event)(topics, data) == expected
    assert compile_decoder(event)(topics, data + b"more") == expected


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


LENGTHS = [0, 1, 2, 31, 32, 33, 64, 96, 160, 2**8, 2**63, 2**64, 2**160, 2**255, 2**256 - 32, 2**256 - 1]


@st.composite
def mutations(draw: st.DrawFn, raw: bytes) -> bytes:
    """Draws a damaged copy: cut, lengthened, with a byte changed, or with a word replaced by a critical number."""
    match draw(st.sampled_from(["cut", "append", "byte", "word"])):
        case "cut":
            return raw[: draw(st.integers(0, len(raw)))]
        case "append":
            return raw + draw(st.binary(max_size=40))
        case "byte" if raw:
            at = draw(st.integers(0, len(raw) - 1))
            return raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at + 1 :]
        case "word" if len(raw) >= 32:
            at = 32 * draw(st.integers(0, len(raw) // 32 - 1))
            return raw[:at] + draw(st.sampled_from(LENGTHS)).to_bytes(32, "big") + raw[at + 32 :]
    return raw


@settings(max_examples=600)
@given(st.data(), logs(FLAT_TYPES))
def test_damaged_bytes_are_accepted_exactly_if_eth_abi_accepts_them(
    draw: st.DataObject, log: tuple[EventSignature, list[Any], bytes, bytes]
) -> None:
    event, _, topics, data = log
    data = draw.draw(mutations(data))
    if draw.draw(st.booleans()):
        data = draw.draw(mutations(data))
    words = draw.draw(mutations(topics[32:]))[: len(topics) - 32].ljust(len(topics) - 32, b"\0")
    assert decoded_or_none(event, topics[:32] + words, data) == by_eth_abi(event, words, data)


@settings(max_examples=600)
@given(st.data(), logs(NESTED_TYPES))
def test_what_is_read_of_damaged_nested_values_is_what_eth_abi_reads(
    draw: st.DataObject, log: tuple[EventSignature, list[Any], bytes, bytes]
) -> None:
    event, _, topics, data = log
    data = draw.draw(mutations(data))
    decoded = decoded_or_none(event, topics, data)
    assert decoded is None or decoded == by_eth_abi(event, topics[32:], data)


def test_a_short_log_cannot_hold_a_vast_value() -> None:
    event = parse_event("Bomb(uint256[][][] rows)")
    rows = 40
    inner = words(rows, *[0] * rows)  # an array of zeros
    middle = words(rows, *[32 * rows] * rows) + inner  # an array whose elements are all that one
    data = words(32) + words(rows, *[32 * rows] * rows) + middle
    assert len(data) < 5_000
    with pytest.raises(DecodeError, match="rows: overlapping tails hold more than the 3968 bytes of the data"):
        compile_decoder(event)(event.topic0, data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (words(32), "pair: 64 bytes at data byte 32 run beyond the data's end at byte 32"),
        (words(0, 1, 2), "pair: the offset 0 at data byte 0 points before the tails, from byte 32"),
        (words(32, 2**64, 64, 0), f"pair.id: 0x{2**64:064x} at data byte 32 is not a valid uint64"),
        (words(32, 1, 32, 0), "pair.note: the offset 32 at data byte 64 points before the tails, from byte 96"),
        (words(32, 1, 64, 9), "pair.note: 32 bytes at data byte 128 run beyond the data's end at byte 128"),
        (words(32, 1, 64, 1, 1), "pair.note: the padding at data byte 129 is not zero"),
    ],
)
def test_a_refusal_of_a_tuple_names_the_component_and_the_place(data: bytes, reason: str) -> None:
    event = parse_event("Paired((uint64 id, string note) pair)")
    with pytest.raises(DecodeError) as refusal:
        compile_decoder(event)(event.topic0, data)
    assert reason in str(refusal.value)


def decoded_or_none(event: EventSignature, topics: bytes, data: bytes) -> tuple[Any, ...] | None:
    try:
        return compile_decoder(event)(topics, data)
    except DecodeError:
        return None


def by_eth_abi(event: EventSignature, words: bytes, data: bytes) -> tuple[Any, ...] | None:
    """Decodes strictly with eth-abi; None if it raises any error (a vast length is an OverflowError)."""
    try:
        topic_values = iter(
            [
                decode([oracle_type(argument)], words[32 * i : 32 * i + 32])[0]
                for i, argument in enumerate(argument for argument in event.inputs if argument.indexed)
            ]
        )
        data_values = iter(decode([oracle_type(a) for a in event.inputs if not a.indexed], data))
    except Exception:
        return None
    return tuple(
        as_decoded(argument, next(topic_values if argument.indexed else data_values)) for argument in event.inputs
    )


@given(logs(), st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_decode_error(
    log: tuple[EventSignature, list[Any], bytes, bytes], topics: bytes, data: bytes
) -> None:
    event, _, right_topics, right_data = log
    for some_topics, some_data in ((topics, data), (topics, right_data), (right_topics, data)):
        decoded = decoded_or_none(event, some_topics, some_data)
        assert decoded is None or len(decoded) == len(event.inputs)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "note: the data ends at byte 0, inside its head at byte 0"),
        (words(64)[:31], "note: the data ends at byte 31, inside its head at byte 0"),
        (words(64) + b"1", "at: the data ends at byte 33, inside its head at byte 32"),
        (words(32, 7, 0), "note: the offset 32 at data byte 0 points outside the tails, which are bytes 64 to 96"),
        (words(65, 7, 0), "note: the offset 65 at data byte 0 points outside the tails, which are bytes 64 to 96"),
        (words(2**256 - 1, 7, 0), f"note: the offset {2**256 - 1} at data byte 0 points outside the tails"),
        (words(64, 7, 2**255), f"note: a length of {2**255} at data byte 64 runs beyond the data's end at byte 96"),
        (words(64, 7, 1) + b"a", "note: a length of 1 at data byte 64 runs beyond the data's end at byte 97"),
        (words(64, 7, 1) + b"ab".ljust(32, b"\0"), "note: the padding at data byte 97 is not zero"),
        (words(64, 2**64, 0), f"at: 0x{2**64:064x} at data byte 32 is not a valid uint64"),
    ],
)
def test_a_refusal_names_the_argument_and_the_place(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        compile_decoder(NOTED)(NOTED.topic0, data)
    assert reason in str(refusal.value)


def test_a_dirty_topic_is_refused_with_its_number() -> None:
    topics = MINTED.topic0 + words(1, 2**160, 3)
    with pytest.raises(DecodeError, match=f"device: 0x{2**160:064x} at topic 2 is not a valid address"):
        compile_decoder(MINTED)(topics, b"")


@pytest.mark.parametrize("topics", [b"", MINTED.topic0, MINTED.topic0 + words(1, 2), MINTED.topic0 + words(1, 2, 3, 4)])
def test_a_wrong_number_of_topics_is_refused(topics: bytes) -> None:
    with pytest.raises(
        DecodeError, match=f"CertificateMinted has 4 topics of 32 bytes, the log has {len(topics)} bytes"
    ):
        compile_decoder(MINTED)(topics, b"")


def test_overlapping_and_unaligned_tails_are_read_as_eth_abi_reads_them() -> None:
    event = parse_event("Twice(string a, string b)")
    data = words(64, 64, 2) + b"ab".ljust(32, b"\0")
    assert compile_decoder(event)(event.topic0, data) == ("ab", "ab") == decode(["string", "string"], data)
    data = words(65, 65) + b"x" + words(2) + b"ab".ljust(32, b"\0")
    assert compile_decoder(event)(event.topic0, data) == ("ab", "ab") == decode(["string", "string"], data)


def test_a_text_of_100_kilobytes_is_read_whole() -> None:
    text = "\N{SNOWMAN}" * 34_000
    data = encode(["string", "uint64"], [text, 2**64 - 1])
    assert compile_decoder(NOTED)(NOTED.topic0, data) == (text, 2**64 - 1)


def test_an_indexed_text_is_its_hash() -> None:
    event = parse_event("Noted(string indexed note)")
    assert compile_decoder(event)(event.topic0 + keccak(text="hello"), b"") == (keccak(text="hello"),)


@given(st.binary())
@example(b"a\0b")
@example(b"\xff\xc0\x80")
@example(b"\xed\xa0\x80")
def test_clean_text_can_be_stored_and_changes_nothing_that_was_clean(raw: bytes) -> None:
    text = clean_text(raw)
    assert "\0" not in text
    assert clean_text(text.encode()) == text
    if b"\0" not in raw and is_utf8(raw):
        assert text.encode() == raw
    else:
        assert "\N{REPLACEMENT CHARACTER}" in text


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
