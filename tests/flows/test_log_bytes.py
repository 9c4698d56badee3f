"""The output of one job by bytes: any part of it, also of very much, among that of other jobs."""

import random
import time
import tracemalloc
from typing import Any

import pytest

from flowq.flows.views.job_log import LogChoice, read_page_before
from flowq.flows.views.log_bytes import find_text, read_chunks, read_part
from flowq.store import Store
from flowq.store.schema.outcomes import Claim, ExecutionReport, LogLines
from tests.support import graphs
from tests.support.slot_driver import Driver

HEAD = 64 * 1024
KIB = 1024


class Writer:
    """Writes output of an execution and remembers it."""

    def __init__(self, driver: Driver, claim: Claim) -> None:
        self.driver = driver
        self.claim = claim
        self.index = 0
        self.whole = bytearray()

    def write(self, *pieces: bytes, stream: str = "out") -> None:
        entries = []
        for data in pieces:
            self.index += 1
            self.whole += data
            entries.append(LogLines(self.claim.id, self.claim.token, self.index, stream, data))
        self.driver.step(logs=tuple(entries))


@pytest.fixture
def driver(store: Store) -> Driver:
    return Driver(store)


def part(store: Store, run: str, ordinal: int, offset: int, limit: int, execution: int | None = None) -> tuple[int, bytes, int]:
    found = read_part(store, run, LogChoice(ordinal, execution), offset=offset, limit=limit)
    return found.first, found.data, found.total


def test_every_part_is_the_one_that_was_written_among_others_and_in_every_execution(store: Store, driver: Driver) -> None:
    rng = random.Random(7)
    run = graphs.run(store, {"a": [], "b": []}, extra=graphs.Extra(nodes={"a": {"retry": graphs.RetryPolicy(3)}}))
    other = Writer(driver, driver.take())
    noisy = Writer(driver, driver.take())
    if other.claim.id.endswith("-0"):
        other, noisy = noisy, other
    written = []
    for execution in (1, 2):
        for _ in range(60):
            noisy.write(*(rng.randbytes(rng.randrange(1, 20 * KIB)) for _ in range(rng.randrange(1, 4))))
            other.write(b"x" * rng.randrange(1, 30 * KIB))
        written.append(bytes(noisy.whole))
        if execution == 1:
            driver.step(
                ExecutionReport(noisy.claim.id, noisy.claim.token, "failed", reason="error", value=b"x", retryable=True)
            )
            driver.settle()
            noisy = Writer(driver, driver.take())
    ordinal = int(noisy.claim.id.rpartition("-")[2])
    for number, whole in enumerate(written, 1):
        for _ in range(40):
            offset, limit = rng.randrange(len(whole) + 10), rng.randrange(1, 300 * KIB)
            start = min(offset, len(whole))
            assert part(store, run, ordinal, offset, limit, number) == (start, whole[offset : offset + limit], len(whole))
        tail = read_part(store, run, LogChoice(ordinal, number), offset=0, limit=1000, tail=True)
        assert (tail.data, tail.first) == (whole[-1000:], len(whole) - 1000)
        assert b"".join(read_chunks(store, run, LogChoice(ordinal, number))) == whole
    assert part(store, run, ordinal, 0, 10) == (0, written[1][:10], len(written[1]))
    assert part(store, run, ordinal, 0, 10, 3) == (0, b"", 0)
    for writer in (noisy, other):
        driver.end(writer.claim)


def test_a_noisy_job_keeps_the_numbers_of_its_bytes(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []})
    writer = Writer(driver, driver.take())
    line = b"%09d " + b"." * 53 + b"\n"  # 64 bytes
    blocks = [line % block * 1024 for block in range(300)]
    for start in range(0, 300, 20):
        writer.write(*blocks[start : start + 20])
    whole, total = bytes(writer.whole), len(writer.whole)
    assert part(store, run, 0, 0, 1000) == (0, whole[:1000], total)
    first, data, _ = part(store, run, 0, 2 * HEAD, KIB)
    assert total - first == 16 * KIB * KIB - HEAD  # of the end, without what is kept of the beginning
    assert data == whole[first : first + KIB]
    assert part(store, run, 0, HEAD - 10, 100) == (
        HEAD - 10,
        whole[HEAD - 10 : HEAD],
        total,
    )  # a part ends where bytes are missing
    down = b"".join(read_chunks(store, run, LogChoice(0)))
    assert down == whole[:HEAD] + b"[flowq: %d bytes were not kept]\n" % (first - HEAD) + whole[first:]
    driver.end(writer.claim)


def test_a_text_is_found_in_steps_that_are_bounded(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []})
    writer = Writer(driver, driver.take())
    line = b"x" * 127 + b"\n"
    for _ in range(12):
        writer.write(b"a NEEDLE is here\n" + line * 500, *([line * 512] * 15))
    wanted, starts = bytes(writer.whole), []
    place = wanted.find(b"a NEEDLE")
    while place >= 0:
        starts.append(place)
        place = wanted.find(b"a NEEDLE", place + 1)
    found: list[Any] = []
    offset = steps = 0
    while True:
        answer: Any = find_text(store, run, LogChoice(0), "needle", 5, offset=offset)
        found += answer["hits"]
        steps += 1
        if answer["next"] is None:
            break
        assert isinstance(answer["next"], int)
        assert offset < answer["next"] <= offset + 9 * KIB * KIB
        offset = answer["next"]
    assert found == [[start, "a NEEDLE is here"] for start in starts]
    assert 3 <= steps <= 5
    writer.write(b"no end of a line, " * 10_000 + b"pin", b"point\n")  # a line of two pieces is one
    late: Any = find_text(store, run, LogChoice(0), "PINPOINT", 5, offset=len(wanted))
    (hit,) = late["hits"]
    assert hit[1].endswith("pinpoint")
    assert len(hit[1]) <= 500
    driver.end(writer.claim)


def test_a_part_takes_the_memory_of_a_part(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []})
    writer = Writer(driver, driver.take())
    for _ in range(8):
        writer.write(*([(b"y" * 63 + b"\n") * 1024] * 30))
    read_part(store, run, LogChoice(0), offset=0, limit=1000)
    tracemalloc.start()
    begin = time.monotonic()
    for offset in (0, 5_000_000, 15_000_000):
        read_part(store, run, LogChoice(0), offset=offset, limit=KIB)
    read_part(store, run, LogChoice(0), offset=0, limit=64 * KIB, tail=True)
    assert time.monotonic() - begin < 1
    assert tracemalloc.get_traced_memory()[1] < 6_000_000
    tracemalloc.stop()
    driver.end(writer.claim)


def test_data_of_an_earlier_version_is_counted_from_what_is_kept(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []})
    writer = Writer(driver, driver.take())
    writer.write(b"begin\n", b"middle\n", b"end\n")
    keys = store.session.keys
    client: Any = store.client
    rows: Any = client.xrange(keys("logs", run))
    store.client.delete(keys("logs", run))
    for seq, row in rows:
        client.execute_command(
            "XADD", keys("logs", run), seq, *(part for pair in row.items() if pair[0] != b"o" for part in pair)
        )
    store.client.hdel(keys("job", writer.claim.id), "log_written", "log_first")
    assert part(store, run, 0, 6, 8) == (6, b"middle\ne", 17)
    assert find_text(store, run, LogChoice(0), "MID", 5)["hits"] == [[6, "middle"]]
    writer.write(b"later\n")
    assert part(store, run, 0, 0, 100)[1] == b"begin\nmiddle\nend\nlater\n"
    driver.end(writer.claim)


def test_the_output_of_a_run_is_read_from_its_end(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []})
    writer = Writer(driver, driver.take())
    for number in range(50):
        writer.write(b"%d\n" % number)
    found: list[str] = []
    before = "+"
    while True:
        page: Any = read_page_before(store, run, before, 20)
        found = [*(row[4] for row in page["entries"]), *found]
        before = str(page["next"])
        if not page["more"]:
            break
    assert found == [f"{number}\n" for number in range(50)]
    driver.end(writer.claim)
