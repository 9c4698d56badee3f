"""Stores of contents: what each of them promises."""

import hashlib
import io
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from flowq.artifacts.blobs import BlobError, BlobStore
from flowq.artifacts.opening import open_blobs
from flowq.artifacts.writing import new_file

DATA = b"content" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["file", "local"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """`file` is our own; `local` is fsspec's, as any other scheme is."""
    return f"{request.param}://{tmp_path}/with space"


@pytest.fixture
def blobs(url: str) -> BlobStore:
    return open_blobs(url.replace(" ", "%20") if url.startswith("file") else url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "with space" / "blobs"


def got(blobs: BlobStore, digest: str = DIGEST) -> bytes:
    target = io.BytesIO()
    blobs.get(digest, target)
    return target.getvalue()


def test_a_content_comes_back(blobs: BlobStore, folder: Path) -> None:
    assert not blobs.has(DIGEST)
    assert not list(blobs.entries())
    blobs.put(DIGEST, io.BytesIO(DATA))
    assert blobs.has(DIGEST)
    assert got(blobs) == DATA
    assert os.listdir(folder) == [DIGEST]
    ((name, written),) = blobs.entries()
    assert name == DIGEST
    assert abs(time.time() - written) < 60
    blobs.remove(DIGEST)
    blobs.remove(DIGEST)
    assert not blobs.has(DIGEST)


def test_a_content_that_is_put_again_is_young_again(blobs: BlobStore, folder: Path) -> None:
    blobs.put(DIGEST, io.BytesIO(DATA))
    os.utime(folder / DIGEST, (1, 1))
    blobs.put(DIGEST, io.BytesIO(DATA))
    ((_, written),) = blobs.entries()
    assert abs(time.time() - written) < 60
    assert got(blobs) == DATA


def test_another_content_is_not_stored(blobs: BlobStore, folder: Path) -> None:
    with pytest.raises(BlobError, match="it changed while it was kept"):
        blobs.put(DIGEST, io.BytesIO(b"x"))
    assert not os.listdir(folder)


def test_a_content_that_is_missing_or_altered(blobs: BlobStore, folder: Path) -> None:
    with pytest.raises(BlobError, match="it is missing in the file store"):
        got(blobs)
    blobs.put(DIGEST, io.BytesIO(DATA))
    (folder / DIGEST).write_bytes(DATA[:-1] + b"x")
    with pytest.raises(BlobError, match="it was altered in the file store"):
        got(blobs)


def test_an_altered_content_can_be_stored_again(tmp_path: Path) -> None:
    """As the message advises: the job is executed again."""
    blobs = open_blobs(f"file://{tmp_path}")
    blobs.put(DIGEST, io.BytesIO(DATA))
    (tmp_path / "blobs" / DIGEST).write_bytes(DATA[:100])
    with pytest.raises(BlobError, match="it was altered in the file store"):
        got(blobs)
    blobs.put(DIGEST, io.BytesIO(DATA))
    assert got(blobs) == DATA
    aside = [name for name, _ in blobs.entries() if name != DIGEST]
    assert aside == [f".{DIGEST}.altered"], "gc removes it after a day"


def test_a_content_that_cannot_be_written_is_not_set_aside(tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}")
    blobs.put(DIGEST, io.BytesIO(DATA))
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(BlobError, match="the file cannot be written"):
        blobs.get(DIGEST, full)
    assert got(blobs) == DATA


def test_a_store_that_cannot_be_written(blobs: BlobStore, folder: Path) -> None:
    folder.parent.mkdir()
    folder.touch()
    with pytest.raises(BlobError, match=r"the file store .* cannot be (written|used): "):
        blobs.put(DIGEST, io.BytesIO(DATA))


def test_a_store_that_is_full(blobs: BlobStore, folder: Path) -> None:
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(BlobError, match=r"the file store .* cannot be (written|used): .*File too large"):
            blobs.put(DIGEST, io.BytesIO(DATA))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not os.listdir(folder), "nothing half is left"


def test_what_is_left_of_a_killed_writer_is_listed(blobs: BlobStore, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / f".{DIGEST}.1.2").touch()
    (folder / "of another program").touch()
    assert [name for name, _ in blobs.entries()] == [f".{DIGEST}.1.2"]
    blobs.remove(f".{DIGEST}.1.2")
    assert os.listdir(folder) == ["of another program"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/shared", "FLOWQ_STORE is not an address: set FLOWQ_STORE to a directory"),
        ("file://host/x", "a directory is written with three slashes"),
        ("nosuch://x", r"the file store nosuch://… cannot be used: "),
    ],
)
def test_wrong_addresses(url: str, expected: str) -> None:
    with pytest.raises(BlobError, match=expected):
        open_blobs(url)


def test_a_file_is_made_whatever_its_name_and_whatever_was_left(tmp_path: Path) -> None:
    """Names take up to 255 bytes; a process of another container, which was killed while it wrote, had the same number."""
    (tmp_path / f".x.{os.getpid()}.part").touch()
    for name in ("x", "漢" * 85, "x" * 255):
        with new_file(str(tmp_path / name), executable=False) as target:
            target.write(DATA)
        assert (tmp_path / name).read_bytes() == DATA
    assert len(list(tmp_path.iterdir())) == 4
