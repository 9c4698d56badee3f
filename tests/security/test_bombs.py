"""TH-15: data that is huge after decompression is refused, with a reason, before it takes memory."""

import gzip
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from flowq import defaults
from flowq.bundles.archive import BundleError, unpack
from flowq.bundles.listing import MAX_BYTES
from flowq.exceptions import CorruptRecordError
from flowq.flows.run import Run
from flowq.store import Store
from tests.support.workers import flow, node, script, start

MIB = 1 << 20


def bomb(size: int) -> bytes:
    """Return `size` zeros, compressed piece by piece."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(stream.compress(bytes(MIB)) for _ in range(size // MIB)), stream.flush()])


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


def of_one_header(kind: bytes) -> bytes:
    """Return an archive of which one header claims more than a bundle has, and has a part of it."""
    return gzip.compress(header(kind, 2 * MAX_BYTES)) + bomb(32 * MIB)


def of_headers_of_headers() -> bytes:
    return gzip.compress(header(tarfile.XHDTYPE, 0) * 5000)


def of_many_files() -> bytes:
    return gzip.compress(header(tarfile.REGTYPE, 0) * 9000)


@pytest.mark.parametrize(
    "make",
    [
        lambda: of_one_header(tarfile.XHDTYPE),
        lambda: of_one_header(tarfile.GNUTYPE_LONGNAME),
        lambda: of_one_header(tarfile.REGTYPE),
        of_headers_of_headers,
        of_many_files,
    ],
    ids=["attributes", "name", "file", "attributes of attributes", "many files"],
)
def test_a_bundle_that_is_a_bomb(tmp_path: Path, make: Callable[[], bytes]) -> None:
    data = make()
    assert len(data) < 4 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=r"larger than a bundle may be|recursion depth"):
            unpack(data, str(tmp_path / "there"), "0" * 64)
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_is_a_bomb(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(store, flow(node("a", script("true"))), tmp_path)
    monkeypatch.setattr(defaults, "MAX_PLAN", 8 * MIB)
    kept = store.client.get(f"{{{store.namespace}}}:plan:{run}")
    store.client.set(f"{{{store.namespace}}}:plan:{run}", zlib.compress(bytes(64 * MIB), 9))
    tracemalloc.start()
    with pytest.raises(CorruptRecordError, match=f"run {run} cannot be read: decompressed, it has more than 8,388,608 bytes"):
        Run(store, run).view()
    assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    tracemalloc.stop()
    store.client.set(f"{{{store.namespace}}}:plan:{run}", kept or b"")
