"""The verdict on a stored block by its evidence: real blocks of a development chain, honest and altered."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from indexer.chain.wire import WrongAnswer
from indexer.proof.evidence import Evidence, LocatedReceipt, StoredBlock, StoredLog
from indexer.proof.judge import (
    Contradicted,
    Judge,
    Unverifiable,
    Verified,
    Wrong,
)
from indexer.proof.receipt import Receipt
from indexer.proof.state_sync import state_sync_transaction
from indexer.verification.witness import Sources, Witness
from schema.abi.keccak import keccak256
from schema.abi.rlp import decode, encode, items, string
from tests.support.chain.devchain import Anvil
from tests.support.chain.evidence import (
    Lie,
    Nodes,
    altering,
    block_of_every_type,
    evidence_of,
    proven_log,
    refusing,
    stored_block,
)
from tests.support.chain.factory import Factory

RECEIPTS = "eth_getBlockReceipts"


@dataclass
class Case:
    chain: Anvil
    address: bytes
    number: int
    stored: StoredBlock

    def judge(self, *, chain_id: int = 31337, form_is_known: bool = True, trust_bloom: bool = True) -> Judge:
        return Judge(chain_id, {self.address: 0}, form_is_known=form_is_known, trust_bloom=trust_bloom)

    async def evidence(self, *lies: Lie) -> Evidence:
        return await evidence_of(self.chain, self.number, *lies)


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    with Anvil() as chain:
        factory = Factory(chain)
        number = block_of_every_type(factory)
        address = factory.contract.address
        stored = stored_block(chain, number, address)
        assert len(stored.logs) == 5
        yield Case(chain, bytes.fromhex(address[2:]), number, stored)


async def test_a_block_of_every_transaction_type_is_verified_and_each_log_proven(case: Case) -> None:
    verdict = case.judge(form_is_known=False).judge(case.stored, await case.evidence())
    assert isinstance(verdict, Verified)
    assert {proof.transaction_index for proof in verdict.proofs} == {log.transaction_index for log in case.stored.logs}
    for proof in verdict.proofs:
        log = next(log for log in case.stored.logs if log.transaction_index == proof.transaction_index)
        place = log.log_index - proof.first_log_index
        header, proven = proven_log(verdict.header, proof.transaction_index, proof.nodes, place)
        assert header.hash == case.stored.hash
        assert (proven.address, proven.topics, proven.data) == (log.address, log.topics, log.data)


async def test_without_block_receipts_each_receipt_is_requested(case: Case) -> None:
    nodes = Nodes(case.chain, refusing(RECEIPTS))
    witness = Witness(nodes)
    assert isinstance(case.judge().judge(case.stored, await witness.evidence(case.stored.hash, Sources())), Verified)
    assert nodes.requests.count("eth_getTransactionReceipt") == 6


async def test_a_block_without_our_logs_is_verified_without_proofs(case: Case) -> None:
    stored = msgspec.structs.replace(case.stored, logs=[])
    verdict = Judge(31337, {b"\1" * 20: 0}, form_is_known=True).judge(stored, await case.evidence())
    assert isinstance(verdict, Verified)
    assert verdict.proofs == []


def _drop_log(receipts: list[Any]) -> None:
    receipts[0]["logs"].pop()


def _add_log(receipts: list[Any]) -> None:
    receipts[1]["logs"].append(receipts[1]["logs"][0])


def _alter_data(receipts: list[Any]) -> None:
    data = receipts[2]["logs"][0]["data"]
    receipts[2]["logs"][0]["data"] = data[:-1] + ("0" if data[-1] != "0" else "1")


def _alter_topic(receipts: list[Any]) -> None:
    receipts[2]["logs"][0]["topics"][1] = "0x" + "77" * 32


def _alter_address(receipts: list[Any]) -> None:
    receipts[2]["logs"][0]["address"] = "0x" + "77" * 20


def _alter_status(receipts: list[Any]) -> None:
    receipts[0]["status"] = "0x0"


def _alter_gas(receipts: list[Any]) -> None:
    receipts[0]["cumulativeGasUsed"] = hex(int(receipts[0]["cumulativeGasUsed"], 16) + 1)


def _alter_type(receipts: list[Any]) -> None:
    receipts[0]["type"] = "0x1"


def _drop_receipt(receipts: list[Any]) -> None:
    receipts.pop()


def _swap_receipts(receipts: list[Any]) -> None:
    receipts[0], receipts[1] = receipts[1], receipts[0]


def _swap_logs(receipts: list[Any]) -> None:
    receipts[0]["logs"], receipts[1]["logs"] = receipts[1]["logs"], receipts[0]["logs"]


def _rename_transaction(receipts: list[Any]) -> None:
    receipts[0]["transactionHash"] = "0x" + "77" * 32


def _move_to_another_block(receipts: list[Any]) -> None:
    receipts[3]["blockHash"] = "0x" + "77" * 32


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_drop_log, "give the root"),
        (_add_log, "give the root"),
        (_alter_data, "give the root"),
        (_alter_topic, "give the root"),
        (_alter_address, "give the root"),
        (_alter_status, "give the root"),
        (_alter_gas, "give the root"),
        (_alter_type, "give the root"),
        (_swap_logs, "give the root"),
        (_drop_receipt, "6 transactions, 5 receipts"),
        (_swap_receipts, "receipt 0 is of transaction 1"),
        (_rename_transaction, "receipt 0 is of transaction 0, 0x7777"),
        (_move_to_another_block, "receipt 3 is of another block"),
    ],
)
async def test_receipts_that_a_provider_altered_contradict_the_header(
    case: Case, change: Callable[[list[Any]], None], reason: str
) -> None:
    verdict = case.judge().judge(case.stored, await case.evidence(altering(RECEIPTS, change)))
    assert isinstance(verdict, Contradicted)
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("field", "value"), [("logsBloom", "0x" + "ff" * 256), ("gasUsed", "0x1"), ("extraData", "0x99"), ("mixHash", None)]
)
async def test_a_header_that_does_not_give_the_hash_is_alarming_only_once_the_form_is_known(
    case: Case, field: str, value: str | None
) -> None:
    evidence = await case.evidence(altering("eth_getBlockByHash", lambda block: block.update({field: value})))
    with_known_form = case.judge(form_is_known=True).judge(case.stored, evidence)
    with_unknown_form = case.judge(form_is_known=False).judge(case.stored, evidence)
    assert isinstance(with_known_form, Contradicted)
    if field == "logsBloom":
        assert isinstance(with_unknown_form, Contradicted), "a bloom that is not the logs' is wrong on any chain"
    else:
        assert isinstance(with_unknown_form, Unverifiable)
        assert "form of this chain's headers is unknown" in with_unknown_form.reason


@pytest.mark.parametrize("wrong", [bytes(256), b"\xff" * 256])
async def test_a_bloom_that_the_chain_itself_left_wrong_is_ignored_if_blooms_are_not_trusted(
    case: Case, wrong: bytes
) -> None:
    verdict = case.judge().judge(case.stored, await case.evidence())
    assert isinstance(verdict, Verified)
    fields = [string(field) for field in items(decode(verdict.header))]
    fields[6] = wrong
    hash = keccak256(encode(fields))
    evidence = await case.evidence(
        altering("eth_getBlockByHash", lambda block: block.update(logsBloom="0x" + wrong.hex()))
    )
    receipts = [msgspec.structs.replace(located, block_hash=hash) for located in evidence.receipts]
    evidence = msgspec.structs.replace(evidence, receipts=receipts)
    stored = msgspec.structs.replace(case.stored, hash=hash)
    trusting = case.judge().judge(stored, evidence)
    assert isinstance(trusting, Contradicted)
    assert trusting.reason.endswith("if the chain is known to leave blooms wrong, set TRUST_BLOOM=off")
    verdict = case.judge(trust_bloom=False).judge(stored, evidence)
    assert isinstance(verdict, Verified)
    assert len(verdict.proofs) == 5


async def test_a_judge_learns_the_form_of_headers_from_the_first_that_fits(case: Case) -> None:
    judge = case.judge(form_is_known=False)
    assert isinstance(judge.judge(case.stored, await case.evidence()), Verified)
    lie = altering("eth_getBlockByHash", lambda block: block.update(gasUsed="0x1"))
    assert isinstance(judge.judge(case.stored, await case.evidence(lie)), Contradicted)


async def test_receipts_without_the_headers_root_contradict_it_even_where_the_form_is_unknown(case: Case) -> None:
    evidence = await case.evidence(
        altering("eth_getBlockByHash", lambda block: block.update(gasUsed="0x1")), altering(RECEIPTS, _drop_log)
    )
    verdict = case.judge(form_is_known=False).judge(case.stored, evidence)
    assert isinstance(verdict, Contradicted)
    assert "give the root" in verdict.reason


def _numbered(*indexes: int) -> Callable[[StoredBlock], StoredBlock]:
    def change(stored: StoredBlock) -> StoredBlock:
        pairs = zip(stored.logs, indexes, strict=True)
        logs = [msgspec.structs.replace(log, log_index=index) for log, index in pairs]
        return msgspec.structs.replace(stored, logs=sorted(logs, key=lambda log: log.log_index))

    return change


@pytest.mark.parametrize("indexes", [(0, 1, 2, 3, 2**32 - 1), (2**32 - 1, 0, 1, 2, 3), (1, 2, 3, 4, 5)])
async def test_logs_that_are_all_there_under_indexes_that_no_count_gives_are_not_verifiable(
    case: Case, indexes: tuple[int, ...]
) -> None:
    verdict = case.judge().judge(_numbered(*indexes)(case.stored), await case.evidence())
    assert verdict == Unverifiable(f"log {max(indexes)}: this chain counts logs in an unknown way")
    missing = _numbered(*indexes)(case.stored)
    missing = msgspec.structs.replace(missing, logs=missing.logs[1:])
    assert isinstance(case.judge().judge(missing, await case.evidence()), Wrong)


def _without_log(stored: StoredBlock) -> StoredBlock:
    return msgspec.structs.replace(stored, logs=[*stored.logs[:2], *stored.logs[3:]])


def _with_log(stored: StoredBlock) -> StoredBlock:
    return msgspec.structs.replace(stored, logs=[*stored.logs, msgspec.structs.replace(stored.logs[0], log_index=9)])


def _with(name: str, value: Any) -> Callable[[StoredBlock], StoredBlock]:
    def change(stored: StoredBlock) -> StoredBlock:
        changed: StoredLog = msgspec.structs.replace(stored.logs[1], **{name: value})
        return msgspec.structs.replace(stored, logs=[stored.logs[0], changed, *stored.logs[2:]])

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without_log, "log 2 of the block, of 0x[0-9a-f]{40}, is not stored"),
        (_numbered(1, 0, 2, 3, 4), "log 0 of the block is stored as log 1"),
        (_with_log, "log 9 is stored, but the block holds no such log"),
        (_with("data", b"\0" * 32), "log 1 is stored with another data"),
        (_with("topics", b"\0" * 32), "log 1 is stored with another topics"),
        (_with("address", b"\0" * 20), "log 1 is stored with another address"),
        (_with("transaction_hash", b"\0" * 32), "log 1 is stored with another transaction hash"),
        (_with("transaction_index", 3), "log 1 is stored with another transaction index"),
        (lambda stored: msgspec.structs.replace(stored, timestamp=1), "the stored timestamp is 1, the header's is"),
        (lambda stored: msgspec.structs.replace(stored, receipts_root=bytes(32)), "the stored receipts root is 0x00"),
        (lambda stored: msgspec.structs.replace(stored, parent_hash=bytes(32)), "the stored parent hash is 0x00"),
    ],
)
async def test_stored_rows_that_differ_from_proven_receipts_are_wrong(
    case: Case, change: Callable[[StoredBlock], StoredBlock], reason: str
) -> None:
    verdict = case.judge().judge(change(case.stored), await case.evidence())
    assert isinstance(verdict, Wrong)
    assert re.search(reason, verdict.reason), verdict.reason


async def test_a_receipt_from_before_byzantium_has_a_state_root_for_its_outcome(case: Case) -> None:
    root = "0x" + "77" * 32
    evidence = await case.evidence(altering(RECEIPTS, lambda receipts: receipts[0].update(status=None, root=root)))
    assert evidence.receipts[0].receipt.outcome == b"\x77" * 32


async def test_an_unknown_receipt_type_is_not_verifiable_and_names_the_type(case: Case) -> None:
    evidence = await case.evidence(altering(RECEIPTS, lambda receipts: receipts[0].update(type="0x71")))
    verdict = case.judge().judge(case.stored, evidence)
    assert isinstance(verdict, Unverifiable)
    assert "0x71" in verdict.reason


async def test_a_chain_without_receipts_roots_is_not_verifiable(case: Case) -> None:
    zero = "0x" + "00" * 32
    evidence = await case.evidence(altering("eth_getBlockByHash", lambda block: block.update(receiptsRoot=zero)))
    stored = msgspec.structs.replace(case.stored, receipts_root=bytes(32))
    assert case.judge().judge(stored, evidence) == Unverifiable("this chain's blocks have no receipts root")


async def test_polygons_state_sync_receipt_lies_outside_the_root(case: Case) -> None:
    evidence = await case.evidence()
    name = state_sync_transaction(case.number, case.stored.hash)
    log = evidence.receipts[0].receipt.logs[0]
    sync = LocatedReceipt(Receipt(0, b"\1", 0, (log,)), case.stored.hash, name, len(evidence.receipts))
    with_sync = Evidence(evidence.header, [*evidence.transactions, name], [*evidence.receipts, sync])
    polygon = case.judge(chain_id=137)
    assert isinstance(polygon.judge(case.stored, evidence), Verified)
    assert isinstance(Judge(137, {b"\1" * 20: 0}, form_is_known=True).judge(_no_logs(case), with_sync), Verified)
    assert isinstance(case.judge(chain_id=1).judge(case.stored, with_sync), Contradicted)
    ours = StoredLog(5, len(evidence.receipts), name, log.address, log.topics, log.data)
    verdict = polygon.judge(msgspec.structs.replace(case.stored, logs=[*case.stored.logs, ours]), with_sync)
    assert isinstance(verdict, Unverifiable)
    assert "log 5 came by Polygon's state sync" in verdict.reason
    missing = polygon.judge(msgspec.structs.replace(case.stored, logs=[*case.stored.logs[1:], ours]), with_sync)
    assert missing == Wrong(f"log 0 of the block, of 0x{case.address.hex()}, is not stored")


def test_polygons_state_sync_transaction_has_the_name_that_the_chain_gave_it() -> None:
    block_hash = bytes.fromhex("38623e33fa0f94dd9276b7d44ea589608085b56c8fc87950612562b09e18b896")
    assert state_sync_transaction(74667488, block_hash).hex() == (
        "c048ab4888a7d0c044b85e3371b775efbeb7a7b9d93a1d229ee1b039150c3289"
    )


@pytest.mark.parametrize("fork", ["byzantium", "istanbul", "london"])
async def test_receipts_of_earlier_forks_are_rebuilt(fork: str) -> None:
    with Anvil("--hardfork", fork) as chain:
        sent = {"from": chain.accounts[0], "to": chain.accounts[1], "value": "0x1", "gasPrice": "0x4a817c800"}
        chain.send(sent)
        stored = stored_block(chain, 1, "0x" + "01" * 20)
        assert isinstance(Judge(1, {}, form_is_known=True).judge(stored, await evidence_of(chain, 1)), Verified)


def _spoil_gas(receipt: Any) -> None:
    receipt["cumulativeGasUsed"] = "0xzz"


def _drop_status(receipt: Any) -> None:
    receipt["status"] = None


def _shorten_addresses(receipt: Any) -> None:
    for log in receipt["logs"]:
        log["address"] = "0x12"


IMPOSSIBLE_RECEIPTS = (_spoil_gas, _drop_status, _shorten_addresses)


@pytest.mark.parametrize("change", IMPOSSIBLE_RECEIPTS)
async def test_impossible_receipts_of_a_block_are_requested_one_by_one(
    case: Case, change: Callable[[Any], None]
) -> None:
    def change_all(receipts: list[Any]) -> None:
        for receipt in receipts:
            change(receipt)

    nodes = Nodes(case.chain, altering(RECEIPTS, change_all))
    evidence = await Witness(nodes).evidence(case.stored.hash, Sources())
    assert isinstance(case.judge().judge(case.stored, evidence), Verified)
    assert nodes.requests.count("eth_getTransactionReceipt") == 6


@pytest.mark.parametrize("change", IMPOSSIBLE_RECEIPTS)
async def test_impossible_receipts_are_refused_before_they_are_judged(
    case: Case, change: Callable[[Any], None]
) -> None:
    with pytest.raises(WrongAnswer):
        await case.evidence(refusing(RECEIPTS), altering("eth_getTransactionReceipt", change))


async def test_a_block_without_transactions_field_is_refused_before_it_is_judged(case: Case) -> None:
    with pytest.raises(WrongAnswer):
        await case.evidence(altering("eth_getBlockByHash", lambda block: block.update(transactions=None)))


def _no_logs(case: Case) -> StoredBlock:
    stored: StoredBlock = msgspec.structs.replace(case.stored, logs=[])
    return stored
