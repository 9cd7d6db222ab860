"""The Merkle-Patricia trie of a list (yellow paper, appendix D): its root, and the proof that a value is in it.

Values are filed under the RLP of their index. The whole list is at hand, so the trie is built from its sorted keys,
bottom-up, each node hashed once. No such key begins another, so no branch holds a value.
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
    """`path`: the nibbles, as hex digits, that a leaf or an extension covers.

    `children` of a branch are filed under their nibble, that of an extension under "", a leaf has none.
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
    """Returns the value that the nodes, root first, prove to lie under the key. Raises ProofError or RlpError."""
    rest = key.hex()
    left = list(nodes)
    wanted: Item = root
    while True:
        node = _resolve(wanted, left, len(nodes))
        if len(node) == BRANCH_ITEMS:
            if not rest:
                raise ProofError("the key ends in a branch")
            wanted, rest = node[int(rest[0], 16)], rest[1:]
            if wanted == b"":
                raise ProofError("the key leads to an empty place: nothing lies under it")
        elif len(node) == 2:
            path, is_leaf = _read_path(string(node[0]))
            if not rest.startswith(path) or (is_leaf and rest != path):
                raise ProofError("the key leads elsewhere: another one lies there")
            wanted, rest = node[1], rest[len(path) :]
            if is_leaf:
                if left:
                    raise ProofError(f"{len(left)} nodes too many")
                return string(wanted)
        else:
            raise ProofError(f"a node with {len(node)} items")


def _resolve(wanted: Item, left: list[bytes], count: int) -> Sequence[Item]:
    """Returns the node that a reference names: the next one by its hash, or one that stands in its parent."""
    if not isinstance(wanted, bytes):
        return wanted
    if not left:
        raise ProofError(f"the {count} nodes end before the value")
    node = left.pop(0)
    if keccak256(node) != wanted:
        place = count - len(left)
        raise ProofError(f"node {place} of {count} has the hash 0x{keccak256(node).hex()}, not 0x{wanted.hex()}")
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
    """Tells whether a node is shorter than its hash, and so stands in its parent itself."""
    return len(encoded) < 32


def _write_path(nibbles: str, is_leaf: bool) -> bytes:
    """Returns the nibbles with the flag of their kind before them, filled up to whole bytes."""
    flag = 2 * is_leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{'' if len(nibbles) % 2 else '0'}{nibbles}")


def _read_path(written: bytes) -> tuple[str, bool]:
    nibbles = written.hex()
    if not nibbles or nibbles[0] not in "0123" or (nibbles[0] in "02" and nibbles[1] != "0"):
        raise RlpError(f"a path that is none: 0x{nibbles}")
    return nibbles[1 if nibbles[0] in "13" else 2 :], nibbles[0] in "23"
