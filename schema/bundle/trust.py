"""The trust statement: what a bundle proves and what it does not.

Every bundle contains it, and the check compares it word for word: it may not change within a format.
"""

TRUST = """\
What this document proves, and what it does not.

It is about one device. It holds every event that the indexer has stored about the device and about the licences that \
its record rests on, each as the blockchain recorded it.

PROVEN by the document itself, without trusting whoever made it: each event is in the block that it names. The block \
header's fingerprint (hash) is recomputed, and a chain of fingerprints leads from the header to the event. Change one \
letter of an event and it no longer fits. Also proven: what each event says follows from its bytes by the reading \
rules (profile) that are included, and the device's state follows from the events.

PROVEN ONLY WITH A BLOCK HASH THAT YOU TRUST: that these blocks are part of the real blockchain, and not made up. \
Compare the block hashes with a source of your own: a node that you run, or a public block explorer. The check does \
it for you when you give it block hashes (--block-hash) or a node (--rpc-url).

NOT PROVEN: that nothing is missing. The document cannot show that no other event about the device exists in other \
transactions. The indexer's operator can attest it for a range of blocks (certindex attest), and so can anyone who \
runs the indexer. Everything that rests on absence (never revoked, never reset, not licensed) rests on this too.

NOT PROVEN, told by the indexer: which contracts are the right ones to watch, and which role each plays; that a \
contract was watched from its first block; the block up to which it had read, transaction hashes, and the number of a \
log within its block.

OUTSIDE of all this: that the people who wrote to the blockchain told the truth. A test result is what the holder of a \
key recorded. The contents of documents behind links are not included; where the chain holds their fingerprint, \
compare it.
"""


def trust_of(noun: str) -> str:
    """Returns the statement of a document about a subject with this noun; `TRUST` is that of a device."""
    return TRUST.replace("device", noun)
