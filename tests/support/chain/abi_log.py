"""Logs written by eth-abi, which is not the decoder under test."""

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from schema.abi.signature import parse_event


def abi_log(signature: str, *values: object) -> tuple[bytes, bytes]:
    """Returns the topics, end to end, and the data of a log; values are in the order of the signature."""
    event = parse_event(signature)
    topics, types, inline = [event.topic0], [], []
    for argument, value in zip(event.inputs, values, strict=True):
        if argument.hashed:
            topics.append(keccak(text=str(value)))
        elif argument.indexed:
            topics.append(encode([argument.type], [value]))
        else:
            types.append(argument.type)
            inline.append(value)
    return b"".join(topics), encode(types, inline)
