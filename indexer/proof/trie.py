"""The Merkle-Patricia trie of a list (yellow paper, appendix D): its root, and the proof that a value is in it.

The key of a value is the RLP of its index. The whole list is known, so the trie is built from the sorted keys,
bottom-up, and each node is hashed once. No such key is a prefix of another, so no branch holds a value.
"""

from collections.abc import Sequence
from itertools import groupby

from msgspec import Struct

from schema.abi.keccak import keccak256
from schema.abi.rlp import Item, RlpError, decode, encode_bytes, encode_list, integer, items, string

NO_CHILD = b"\x80"
EMPTY_ROOT = keccak256(NO_CHILD)
BRANCH_ITEMS = 17


class ProofError(ValueError):
    """The nodes do not lead from the root to a value."""


class Node(Struct, frozen=True):
    """A node. `path` holds the nibbles, as hex digits, that a leaf or an extension covers.

    The keys of `children` are nibbles in a branch and "" in an extension; a leaf has no children.
    """

    encoded: bytes
    path: str
    children: dict[str, "Node"]


class Trie:
    """The trie of a list of values."""

    def __init__(self, values: Sequence[bytes]) -> None:
        entries = sorted((trie_key(index).hex(), value) for index, value in enumerate(values))
        self._top = _build(entries, 0) if entries else None
        self.root = EMPTY_ROOT if self._top is None else keccak256(self._top.encoded)

    def proof(self, index: int) -> list[bytes]:
        """Returns the nodes from the root to the value with this index. Raises IndexError."""
        rest = trie_key(index).hex()
        nodes: list[bytes] = []
        node = self._top
        while node is not None and rest.startswith(node.path):
            if not nodes or not _is_embedded(node.encoded):
                nodes.append(node.encoded)
            rest = rest[len(node.path) :]
            if not node.children and not rest:
                return nodes
            step = "" if "" in node.children else rest[:1]
            node, rest = node.children.get(step), rest[len(step) :]
        raise IndexError(f"no value {index} in the trie")


def trie_key(index: int) -> bytes:
    """Returns the key of a value: the RLP of its index."""
    return encode_bytes(integer(index))


def prove(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """Returns the value under the key, proven by the nodes, root first. Raises ProofError or RlpError."""
    rest = key.hex()
    left = list(nodes)
    reference: Item = root
    while True:
        node = _resolve(reference, left, len(nodes))
        if len(node) == BRANCH_ITEMS:
            if not rest:
                raise ProofError("the key ends in a branch")
            reference, rest = node[int(rest[0], 16)], rest[1:]
            if reference == b"":
                raise ProofError("the key leads to an empty child: no value is under it")
        elif len(node) == 2:
            path, is_leaf = _read_path(string(node[0]))
            if not rest.startswith(path) or (is_leaf and rest != path):
                raise ProofError("the key leads to another key")
            reference, rest = node[1], rest[len(path) :]
            if is_leaf:
                if left:
                    raise ProofError(f"{len(left)} nodes too many")
                return string(reference)
        else:
            raise ProofError(f"a node with {len(node)} items")


def _resolve(reference: Item, left: list[bytes], count: int) -> Sequence[Item]:
    """Returns the node of a reference: the next node, which must have this hash, or one embedded in its parent."""
    if not isinstance(reference, bytes):
        return reference
    if not left:
        raise ProofError(f"the {count} nodes end before the value")
    node = left.pop(0)
    if keccak256(node) != reference:
        place = count - len(left)
        raise ProofError(f"node {place} of {count} has the hash 0x{keccak256(node).hex()}, not 0x{reference.hex()}")
    return items(decode(node))


def _build(entries: Sequence[tuple[str, bytes]], depth: int) -> Node:
    """Returns the node of sorted (key, value) entries whose keys agree in their first `depth` nibbles."""
    first, last = entries[0][0], entries[-1][0]
    if len(entries) == 1:
        path = first[depth:]
        return Node(encode_list([encode_bytes(_write_path(path, True)), encode_bytes(entries[0][1])]), path, {})
    shared = depth
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        child = _build(entries, shared)
        path = first[depth:shared]
        return Node(encode_list([encode_bytes(_write_path(path, False)), _reference(child)]), path, {"": child})
    children = {
        nibble: _build(list(group), depth + 1) for nibble, group in groupby(entries, key=lambda entry: entry[0][depth])
    }
    references = [_reference(children[nibble]) if nibble in children else NO_CHILD for nibble in "0123456789abcdef"]
    return Node(encode_list([*references, NO_CHILD]), "", children)


def _reference(node: Node) -> bytes:
    return node.encoded if _is_embedded(node.encoded) else b"\xa0" + keccak256(node.encoded)


def _is_embedded(encoded: bytes) -> bool:
    """Returns whether a node is shorter than a hash, and so is embedded in its parent."""
    return len(encoded) < 32


def _write_path(nibbles: str, is_leaf: bool) -> bytes:
    """Returns the nibbles behind the flag of their kind, padded to whole bytes."""
    flag = 2 * is_leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{'' if len(nibbles) % 2 else '0'}{nibbles}")


def _read_path(written: bytes) -> tuple[str, bool]:
    nibbles = written.hex()
    if not nibbles or nibbles[0] not in "0123" or (nibbles[0] in "02" and nibbles[1] != "0"):
        raise RlpError(f"an invalid path: 0x{nibbles}")
    return nibbles[1 if nibbles[0] in "13" else 2 :], nibbles[0] in "23"
