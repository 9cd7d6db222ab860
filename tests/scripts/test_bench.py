"""The benchmark: its synthetic chain is consistent, its naive indexer ends with our rows, its results are complete."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from sqlalchemy import text

from api.explorer.pages import PAGES
from schema.abi.decoder import compile_decoder
from schema.tables.database import connect
from schema.tables.kinds import DERIVED
from scripts.benchmark import exploring, naive
from scripts.benchmark.__main__ import main
from scripts.benchmark.connection import call
from scripts.benchmark.databases import Databases
from scripts.benchmark.encoding import EVENTS, encode
from scripts.benchmark.events import generate, generate_fleet
from scripts.benchmark.exploring import HEAVIEST, explored
from scripts.benchmark.exporting import exported
from scripts.benchmark.fleets import write_fleet
from scripts.benchmark.growing import grow, grow_first
from scripts.benchmark.plot import plot
from scripts.benchmark.queries import FLOOR, benchmark_queries
from scripts.benchmark.recording import CHAIN_ID, CONTRACT, Recording, Shape, record
from scripts.benchmark.report import table
from scripts.benchmark.runs import node, work
from scripts.benchmark.sections import Bench, Results, Scale, measure_api, measure_backfill, measure_follow
from scripts.benchmark.serving import CACHED, COMPILED, ENGINES, ORDINARY, TWO_WORKERS
from scripts.benchmark.switching import switch
from tests.support.api.tour import WITHOUT_A_ROW
from tests.support.chain.abi_log import abi_log
from tests.support.chain.fakechain import Log, logs_bloom
from tests.support.index.indexing import read_table

pytestmark = pytest.mark.slow

EVENT_COUNT, BLOCK_COUNT = 600, 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chains")


@pytest.fixture(scope="module")
def chain(folder: Path) -> Recording:
    return record(folder, events=EVENT_COUNT, blocks=BLOCK_COUNT)


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with node(folder, events=EVENT_COUNT, blocks=BLOCK_COUNT) as url:
        yield url


def test_a_seed_generates_the_same_events_in_order_of_time_and_in_the_number_requested() -> None:
    transactions = list(generate(2_000))
    assert transactions == list(generate(2_000))
    assert sum(len(transaction.events) for transaction in transactions) == 2_000
    assert all(before.time <= after.time for before, after in pairwise(transactions))


def test_every_generated_event_is_encoded_as_eth_abi_encodes_it_and_decoded_by_us() -> None:
    for name, event in {e.name: e for t in generate(3_000) for e in t.events}.items():
        topics, data = encode(event)
        declared = EVENTS[name]
        arguments = ", ".join(
            f"{part.type}{' indexed' if part.indexed else ''} {part.name}" for part in declared.inputs
        )
        plain = [f"0x{v.hex()}" if isinstance(v, bytes) and len(v) == 20 else v for v in event.values]
        assert (bytes.fromhex("".join(topics)), bytes.fromhex(data)) == abi_log(f"{name}({arguments})", *plain)
        assert compile_decoder(declared)(bytes.fromhex("".join(topics)), bytes.fromhex(data)) == event.values


def test_every_kind_of_event_of_a_device_is_generated() -> None:
    names = {event.name for transaction in generate(3_000) for event in transaction.events}
    assert set(EVENTS) - names <= {"ManufacturerLicenseRevoked", "HardwareLicenseRevoked"}


@pytest.mark.parametrize("shape", Shape)
def test_the_recorded_blocks_are_a_chain_with_the_blooms_of_their_logs(folder: Path, shape: Shape) -> None:
    chain = record(folder, events=EVENT_COUNT, blocks=BLOCK_COUNT, shape=shape)
    headers = [json.loads(chain.header(number)) for number in range(chain.head + 1)]
    assert all(after["parentHash"] == before["hash"] for before, after in pairwise(headers))
    assert all(int(after["timestamp"], 16) > int(before["timestamp"], 16) for before, after in pairwise(headers))
    logs_of_blocks = [logs_of(chain, number) for number in range(chain.head + 1)]
    assert sum(map(len, logs_of_blocks)) == EVENT_COUNT
    for number, (header, logs) in enumerate(zip(headers, logs_of_blocks, strict=True)):
        assert header["logsBloom"] == "0x" + logs_bloom(map(plain_log, logs)).hex()
        assert [int(log["logIndex"], 16) for log in logs] == list(range(len(logs)))
        assert {(log["blockHash"], int(log["blockNumber"], 16)) for log in logs} <= {(header["hash"], number)}
        assert {log["transactionHash"] for log in logs} == set(header["transactions"])


def test_a_sparse_chain_leaves_most_blocks_empty(folder: Path) -> None:
    chain = record(folder, events=EVENT_COUNT, blocks=BLOCK_COUNT, shape=Shape.SPARSE)
    assert sum(bool(logs_of(chain, number)) for number in range(chain.head + 1)) == BLOCK_COUNT // 20


def test_a_reorg_gives_the_same_transactions_in_other_blocks_on_the_same_ancestor(folder: Path) -> None:
    with node(folder, events=EVENT_COUNT, blocks=BLOCK_COUNT) as url:
        call(url, "bench_set", {"head": 50})
        before = [block(url, number) for number in range(51)]
        assert call(url, "bench_reorg", 3) == block(url, "latest")["hash"]
        after = [block(url, number) for number in range(52)]
        assert after[:48] == before[:48]
        assert all(child["parentHash"] == parent["hash"] for parent, child in pairwise(after))
        assert not {header["hash"] for header in after[48:]} & {header["hash"] for header in before}
        for header in after[48:]:
            logs = call(url, "eth_getLogs", {"blockHash": header["hash"]})
            assert {log["blockHash"] for log in logs} <= {header["hash"]}
            assert {log["transactionHash"] for log in logs} == set(header["transactions"])
        with pytest.raises(ConnectionError, match="unknown block"):
            call(url, "eth_getLogs", {"blockHash": before[50]["hash"]})


def test_a_capped_node_refuses_with_the_message_of_a_provider(url: str) -> None:
    call(url, "bench_set", {"block_cap": 10, "result_cap": 20})
    with pytest.raises(ConnectionError, match=r"up to a 10 block range.*\[0x0, 0x9\]"):
        call(url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x10"})
    with pytest.raises(ConnectionError, match="query returned more than 20 results"):
        call(url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x9"})
    call(url, "bench_set", {"block_cap": 0, "result_cap": 0})


def test_the_naive_indexer_and_ours_end_with_the_same_rows(url: str, tmp_path: Path) -> None:
    ours, theirs = (f"sqlite:///{tmp_path / name}.db" for name in ("ours", "theirs"))
    assert sum(events for _, events in work("sync", url, ours).steps) == EVENT_COUNT
    assert naive.index(url, theirs) == EVENT_COUNT
    for name in ("event", *DERIVED):
        assert rows(ours, name) == rows(theirs, name), name
    assert digests(ours) == digests(theirs)


def test_the_stages_cover_the_run(url: str, tmp_path: Path) -> None:
    measured = work("sync", url, f"sqlite:///{tmp_path / 'measured.db'}")
    assert 0 < sum(measured.stages_cpu.values()) < measured.cpu_seconds
    assert set(measured.stages_cpu) == {"decode", "load", "fold", "digest", "write", "index"}
    assert measured.steps[-1][0] <= measured.seconds


SCALE = Scale(
    events=EVENT_COUNT,
    blocks=BLOCK_COUNT,
    naive_events=100,
    conditions=False,
    more_events=0,
    devices=(),
    seconds=0.05,
    followed_blocks=3,
    depths=(1, 20),
    connections=2,
)


@pytest.fixture(scope="module")
def results(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    bench = Bench(Results("a test"), SCALE, ["sqlite"], folder, tmp_path_factory.mktemp("scratch"))
    for measure in (measure_backfill, measure_follow, measure_api):
        measure(bench)
    return bench.results


def test_a_run_measures_every_condition_on_a_whole_chain(results: Results) -> None:
    naive, *ours = results.backfills
    assert (naive.label, naive.events) == ("naive", 100)
    assert [run.label for run in ours] == ["dense", "one core", "50 ms, 2,000 blocks"]
    assert {run.events for run in ours} == {run.events for run in results.rebuilds} == {EVENT_COUNT}
    assert all(run.provider_rate > 0 and run.database_bytes > 0 for run in ours)
    assert ours[0].requests["eth_getLogs"] >= 2


def test_following_sees_every_new_block_and_every_fork(results: Results) -> None:
    (followed,) = results.follows
    assert 0 < followed.poll_p50 <= followed.poll_p99
    assert followed.poll_p50 <= followed.arrival_p50
    assert [reorg.depth for reorg in results.reorgs] == [1, 20]


def test_every_query_is_measured_with_every_engine_that_answers_it(results: Results) -> None:
    for run in results.served:
        assert run.load.requests > 0
        assert 0 < run.load.p50 <= run.load.p99
    assert sum(run.cpu for run in results.served) > 0  # the clock of a process ticks every 10 ms
    uncached = (COMPILED, ORDINARY, TWO_WORKERS)
    engines = dict.fromkeys("abce", uncached) | {"d": (CACHED,), FLOOR: (COMPILED, TWO_WORKERS)}
    assert [(run.letter, run.engine) for run in results.served] == [
        (letter, engine) for letter in f"abcde{FLOOR}" for engine in engines[letter]
    ]
    assert [started.seconds > 0 for started in results.starts] == [True]
    assert [(each.engine, each.memory_bytes > 10**7) for each in results.memory] == [(name, True) for name in ENGINES]


def test_the_table_and_the_plot_show_the_results(results: Results) -> None:
    text_table = table(results)
    for part in ("backfill", "rebuild", "follow", "reorg", "API", "certindex-api", "against the naive indexer"):
        assert part in text_table
    assert ElementTree.fromstring(plot(results)).findall("{http://www.w3.org/2000/svg}polyline")
    assert msgspec.json.decode(msgspec.json.encode(results), type=Results) == results


def test_a_fleet_has_the_number_of_devices_requested_and_some_are_long_in_use(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    assert write_fleet(url, 2_000) == sum(len(transaction.events) for transaction in generate_fleet(2_000))
    bodies = {query.letter: query.bodies for query in benchmark_queries(url)}
    assert len(rows(url, "device")) == 2_000
    assert all(bodies[letter] for letter in "abcde")


def test_a_database_that_grows_is_measured_part_by_part_and_shown(tmp_path: Path) -> None:
    with Databases("sqlite", tmp_path) as databases, databases.new() as url:
        first, last = grow(url, databases, 3_000, seconds=0.05, connections=2, parts=2)
        assert (last.events, len(rows(url, "event"))) == (3_000, 3_000)
        assert len(rows(url, "device")) > 250
    assert first.events + last.written == 3_000
    for grown in (first, last):
        assert [answer.letter for answer in grown.answers] == ["a", "g", "h"]
        assert grown.cpu_an_event > 0
        assert grown.database_bytes > 10**6
    assert "sqlite      the last part over the first: " in table(Results("a test", growth=[first, last]))


def test_the_parts_of_a_first_backfill_are_measured_and_the_indexes_at_its_end(tmp_path: Path) -> None:
    with Databases("sqlite", tmp_path) as databases, databases.new() as url:
        first, last = grow_first(url, databases, 3_000, parts=2)
        assert len(rows(url, "event")) == first.written + last.written == 3_000
        [chain] = rows(url, "chain")
    assert chain["backfilled"]
    assert (first.index_seconds, last.index_seconds > 0) == (0, True)
    assert "; the indexes took " in table(Results("a test", growth=[first, last]))


def test_a_rebuild_beside_its_readers_is_measured_and_shown(tmp_path: Path) -> None:
    with Databases("sqlite", tmp_path) as databases, databases.new() as url:
        run = switch(url, databases, 3_000)
        assert (run.events, len(rows(url, "event"))) == (3_000, 3_000)
    [reading] = run.readings
    assert (reading.server, reading.wrong) == ("the database", 0)
    assert reading.answers > 0
    assert 0 < run.stood_still < run.seconds
    assert run.database_bytes < run.most_bytes
    assert "a server on the database: " in table(Results("a test", switches=[run]))


def test_exports_and_a_look_up_are_measured_and_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    write_fleet(url, 300)
    runs = list(exported(url, "sqlite", 300))
    assert [(run.what, run.rows) for run in runs] == [("csv", 300), ("ndjson", 300), ("parquet", 300), ("lookup", 300)]
    assert all(run.bytes > 10_000 and run.memory_bytes > 10**7 for run in runs)
    shown = table(Results("a test", exports=runs))
    assert "lookup" in shown
    assert "rows/s to CSV" in shown
    assert "peak MB of CSV" in shown


def test_every_page_of_the_explorer_is_measured_and_compared_with_its_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exploring, "FEWEST", 1)
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    write_fleet(url, 1_000)
    runs = list(explored(url, "sqlite", 1_000, 0.0, 0.0))
    assert {page.path for page in PAGES} - set(WITHOUT_A_ROW) | set(HEAVIEST) == {run.page for run in runs}
    assert all(run.bytes > 10_000 and run.seconds > 0 for run in runs)
    assert sum(run.cpu for run in runs) > 0
    assert table(Results("a test", pages=runs)).count("missed") == len(runs)
    fast = [msgspec.structs.replace(run, most_seconds=60.0, bytes=1) for run in runs]
    assert "missed" not in table(Results("a test", pages=fast))


def test_an_unknown_section_database_or_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--only", "everything"], ["--databases", "oracle"], ["--events", "-5"], ["--quick", "--long"]):
        with pytest.raises(SystemExit):
            main(wrong)
        assert wrong[-1] in capsys.readouterr().err


def logs_of(chain: Recording, number: int) -> list[dict[str, Any]]:
    logs: list[dict[str, Any]] = json.loads(b"[" + chain.logs(number, number)[:-1] + b"]")
    return logs


def plain_log(log: dict[str, Any]) -> Log:
    assert log["address"] == "0x" + CONTRACT
    return Log(bytes.fromhex("".join(topic[2:] for topic in log["topics"])), b"")


def block(url: str, number: int | str) -> dict[str, Any]:
    block: dict[str, Any] = call(url, "eth_getBlockByNumber", hex(number) if isinstance(number, int) else number, False)
    return block


def rows(database_url: str, table: str) -> list[dict[str, Any]]:
    engine = connect(database_url)
    rows = read_table(engine, CHAIN_ID, table)
    engine.dispose()
    return rows


def digests(database_url: str) -> list[Any]:
    """Returns number, hash and digest of the blocks with events."""
    engine = connect(database_url)
    with engine.begin() as connection:
        statement = "SELECT number, hash, digest FROM block WHERE digest IS NOT NULL ORDER BY number"
        rows = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return rows
