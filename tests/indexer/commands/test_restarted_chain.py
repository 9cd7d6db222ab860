"""A node whose chain is another one than before: the message names the way out, which repairs the index."""

import re

import pytest
from sqlalchemy import create_engine, text

from tests.support.certindex import Certindex
from tests.support.chain.fakechain import CERTIFICATE, GENESIS_TIME, FakeNode, emitted
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider


def node_of(blocks: int, *, chain_id: int, started: int) -> FakeNode:
    """Return a chain with one event in each block; its first block is as old as the node."""
    node = FakeNode(chain_id=chain_id)
    node.blocks.clear()
    node._append((), GENESIS_TIME + started)
    for number in range(blocks):
        node.mine(emitted("Transfer", to=bytes([started + 1]) * 20, tokenId=number))
    return node


@pytest.mark.parametrize("start_block", [0, 1, 3])
@pytest.mark.parametrize(("first", "second"), [(20, 20), (20, 12), (12, 20), (80, 90)])
def test_after_a_restart_of_the_chain_the_named_command_repairs_the_index(
    first: int, second: int, start_block: int, database_url: str, certindex: Certindex
) -> None:
    options = ("--contracts", f"certificate=0x{CERTIFICATE.hex()}", "--start-block", str(start_block))
    with Provider(of_fake(node_of(first, chain_id=31337, started=0))) as provider:
        done = certindex("sync", *options, "--rpc-urls", provider.url, database_url=database_url)
        assert done.status == 0, done.err
    with Provider(of_fake(node_of(second, chain_id=31337, started=1))) as provider:
        done = certindex("sync", *options, "--rpc-urls", provider.url, database_url=database_url)
        if done.status != 0:
            [to] = re.findall(r"certindex rollback --to (-?\d+)", done.err)
            rolled_back = certindex("rollback", "--to", to, database_url=database_url)
            assert rolled_back.status == 0, rolled_back.err
            done = certindex("sync", *options, "--rpc-urls", provider.url, database_url=database_url)
        assert done.status == 0, done.err
    engine = create_engine(database_url)
    with engine.begin() as connection:
        events = connection.execute(text("SELECT count(*) FROM event")).scalar_one()
        last = connection.execute(text("SELECT indexed_number FROM chain")).scalar_one()
    engine.dispose()
    assert (events, last) == (second - max(start_block - 1, 0), second)


def test_another_chain_is_indexed_into_the_same_database_only_if_chain_id_names_it(
    database_url: str, certindex: Certindex
) -> None:
    options = ("--contracts", f"certificate=0x{CERTIFICATE.hex()}", "--start-block", "0")
    with Provider(of_fake(node_of(3, chain_id=31337, started=0))) as provider:
        assert certindex("sync", *options, "--rpc-urls", provider.url, database_url=database_url).status == 0
    with Provider(of_fake(node_of(3, chain_id=999, started=1))) as provider:
        sync = ("sync", *options, "--rpc-urls", provider.url)
        refused = certindex(*sync, database_url=database_url)
        assert refused.status == 1
        assert "The nodes of RPC_URLS are of chain 999, and the database holds chain 31337." in refused.err
        assert "Correct RPC_URLS, or set CHAIN_ID=999 to index that chain too." in refused.err
        assert "chain 999" not in certindex("status", database_url=database_url).out
        assert certindex(*sync, "--chain-id", "999", database_url=database_url).status == 0
    assert "chain 999" in certindex("status", database_url=database_url).out
