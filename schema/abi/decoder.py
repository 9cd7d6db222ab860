"""Generates decoders of logs from Solidity event signatures.

Generated code is about twenty times as fast as eth-abi. It accepts what eth-abi accepts with `strict=True`, in
topics and in data:

- Unused bits of a word are zero: above a uintN, above an address, behind a bytesN. A bool is 0 or 1. An intN is sign
  extended.
- An offset points behind the head and inside the data. It need not be canonical: tails may overlap, be unaligned or
  leave gaps.
- Text and bytes are padded to whole words with zeros. Bytes behind the last tail are ignored.

Differences: invalid UTF-8 and NUL become U+FFFD (eth-abi raises, and keeps NUL); an address is 20 bytes, not text; a
log must have exactly as many topics as its event; offsets and tails inside tuples and nested arrays are limited as
`nested` says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

from schema.abi.nested import clean_text, nested_reader
from schema.abi.signature import DYNAMIC, WORD, Argument, EventSignature
from schema.abi.words import WORD_NAMES, DecodeError, word_lines, word_reader


def compile_decoder(event: EventSignature) -> Callable[[bytes, bytes], tuple[Any, ...]]:
    """Generates `decode(topics, data)`, which returns the arguments in order. `topics` are concatenated.

    Numbers are ints, addresses 20 bytes, bytesN N bytes, arrays and tuples are tuples, text is cleaned by `clean_text`;
    an indexed text, bytes, array or tuple is its 32-byte hash. If the bytes do not fit, `decode` raises DecodeError and
    nothing else. It ignores topic0, by which its caller has chosen it.
    """
    arguments = "".join(f"{variable(index)}, " for index in range(len(event.inputs)))
    decoder: Callable[[bytes, bytes], tuple[Any, ...]] = compile_expression(
        event, f"({arguments})", ("topics", "data"), {}
    )
    return decoder


def compile_expression(
    event: EventSignature,
    result: str,
    parameters: Sequence[str],
    names: Mapping[str, object],
    guards: Mapping[int, str] | None = None,
) -> Callable[..., Any]:
    """Generates a function of `parameters`, which include `topics` and `data`, that decodes a log and returns `result`.

    `result` and the guards are Python expressions over `variable(index)` of each argument, the parameters and `names`.
    An argument with a guard is read before the others; if the guard is false, the function returns None at once.
    Never put foreign text into an expression: it would be executed. Pass it in `names`.
    """
    lines = _body(event, guards or {})
    source = "\n    ".join([f"def read({', '.join(parameters)}):", *lines, f"return {result}"])
    errors = {"wrong_topics": _wrong_topics(event), "short_head": _short_head(event)}
    scope: dict[str, Any] = {**_NAMES, **errors, **_nested_readers(event), **names}
    exec(_compiled(source, event.signature), scope)
    read: Callable[..., Any] = scope["read"]
    return read


@lru_cache(maxsize=1024)
def _compiled(source: str, signature: str) -> CodeType:
    """Compiles a function. A profile is read again for each contract of its factories: most functions stay the same."""
    return compile(source, f"<decoder of {signature}>", "exec")


def variable(index: int) -> str:
    """Returns the name of an argument inside a generated function."""
    return f"a{index}"


def _body(event: EventSignature, guards: Mapping[int, str]) -> Iterator[str]:
    yield f"if len(topics) != {WORD * event.topic_count}: raise wrong_topics(topics)"
    places = _places(event)
    head_checked = False
    for index in sorted(range(len(event.inputs)), key=lambda index: index not in guards):
        argument = event.inputs[index]
        if not argument.indexed and not head_checked:
            yield "size = len(data)"
            yield f"if size < {event.head_size}: raise short_head(size)"
            head_checked = True
        yield from _argument_lines(variable(index), argument, places[index], event.head_size)
        if index in guards:
            yield f"if not ({guards[index]}): return None"


def _nested_readers(event: EventSignature) -> dict[str, object]:
    return {
        f"nested_{variable(index)}": nested_reader(argument, event.head_size)
        for index, argument in enumerate(event.inputs)
        if argument.nested and not argument.hashed
    }


def _places(event: EventSignature) -> list[int]:
    """Returns where each argument's word begins: in the topics if it is indexed, else in the data."""
    places, topic, head = [], WORD, 0
    for argument in event.inputs:
        places.append(topic if argument.indexed else head)
        topic += WORD if argument.indexed else 0
        head += argument.head_size
    return places


def _argument_lines(target: str, argument: Argument, place: int, head_size: int) -> Iterator[str]:
    source = "topics" if argument.indexed else "data"
    label = repr(_label(argument))
    if argument.hashed:
        yield f"{target} = topics[{place}:{place + WORD}]"
    elif argument.nested:
        yield f"{target} = nested_{target}(data, {place})"
    elif argument.type.endswith("[]"):
        yield from _tail_lines(place, head_size, label)
        yield f"end = start + {WORD} * length"
        yield f"if end > size: raise long_tail({label}, length, offset, size)"
        yield f"{target} = elements(data, start, end, {argument.type[:-2]!r}, {label})"
    elif argument.type.endswith("]"):
        element = argument.type.partition("[")[0]
        yield f"{target} = elements(data, {place}, {place + argument.head_size}, {element!r}, {label})"
    elif argument.type in DYNAMIC:
        yield from _tail_lines(place, head_size, label)
        yield "end = start + length"
        yield "padding = -length & 31"
        yield f"if end + padding > size: raise long_tail({label}, length, offset, size)"
        yield f"if padding and data[end:end + padding] != zeros[padding]: raise dirty_tail({label}, end)"
        yield f"{target} = {'clean_text(data[start:end])' if argument.type == 'string' else 'data[start:end]'}"
    else:
        yield from word_lines(target, argument.type, source, place, label)


def _tail_lines(place: int, head_size: int, label: str) -> Iterator[str]:
    yield f"offset = number(data[{place}:{place + WORD}])"
    yield f"start = offset + {WORD}"
    yield f"if offset < {head_size} or start > size: raise bad_offset({label}, {place}, offset, {head_size}, size)"
    yield "length = number(data[offset:start])"


def _elements(data: bytes, start: int, end: int, type_name: str, label: str) -> tuple[Any, ...]:
    read = word_reader(type_name)
    return tuple([read(data, place, label) for place in range(start, end, WORD)])


# Errors. A generated function raises them by these names


def _label(argument: Argument) -> str:
    return argument.name or f"unnamed {argument.type}"


def _wrong_topics(event: EventSignature) -> Callable[[bytes], DecodeError]:
    return lambda topics: DecodeError(
        f"{event.name} has {event.topic_count} topics of {WORD} bytes, the log has {len(topics)} bytes of topics"
    )


def _short_head(event: EventSignature) -> Callable[[int], DecodeError]:
    def error(size: int) -> DecodeError:
        missing = next(
            (argument, place)
            for argument, place in zip(event.inputs, _places(event), strict=True)
            if not argument.indexed and place + argument.head_size > size
        )
        argument, place = missing
        return DecodeError(f"{_label(argument)}: the data ends at byte {size}, inside its head at byte {place}")

    return error


def _bad_offset(label: str, place: int, offset: int, head_size: int, size: int) -> DecodeError:
    return DecodeError(
        f"{label}: the offset {offset} at data byte {place} points outside the tails, "
        f"which are bytes {head_size} to {size}"
    )


def _long_tail(label: str, length: int, offset: int, size: int) -> DecodeError:
    return DecodeError(f"{label}: a length of {length} at data byte {offset} runs beyond the data's end at byte {size}")


def _dirty_tail(label: str, end: int) -> DecodeError:
    return DecodeError(f"{label}: the padding at data byte {end} is not zero")


_NAMES: dict[str, object] = {
    **WORD_NAMES,
    "clean_text": clean_text,
    "elements": _elements,
    "bad_offset": _bad_offset,
    "long_tail": _long_tail,
    "dirty_tail": _dirty_tail,
}
