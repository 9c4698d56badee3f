"""The files of artifacts: what is collected, what is refused, and how they are put in place again."""

import os
from pathlib import Path
from typing import Any

import pytest

from flowq import globs
from flowq.artifacts import limits
from flowq.artifacts.manifest import read, written
from flowq.exceptions import CorruptRecordError
from flowq.worker.horse.artifacts import fetch, save
from flowq.worker.horse.artifacts.transfers import TransferError


def collect(base: Path, *patterns: str, strict: bool = True, **task: Any) -> dict[str, Any]:
    item = {"name": "a", "path": list(patterns), "always": False, "keep": None}
    return save.collect([item], os.path.realpath(base), task, strict=strict)[0]


def paths(found: dict[str, Any]) -> list[str]:
    return [row[0] for item in found["items"] for row in item["files"]]


def place(base: Path, found: dict[str, Any], to: str = "to") -> None:
    for item in found["items"]:
        fetch.put_in_place({**item, "to": to, "contents": found["contents"]}, os.path.realpath(base), None)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("out/b.html", "out/deep/a.html", "c.txt", "empty"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("" if name == "empty" else name)
    (tmp_path / "c.txt").chmod(0o755)
    return tmp_path


def test_patterns(base: Path) -> None:
    assert paths(collect(base, "out")) == ["out/b.html", "out/deep/a.html"]
    assert paths(collect(base, "out/**/*.html", "./out/b.html", "!out/deep")) == ["out/b.html"]
    assert paths(collect(base, "{c.txt,empty}", "nothing*?")) == ["c.txt", "empty"]
    assert paths(collect(base, "c.tx?")) == [], "the mark at the end is no wildcard"
    assert paths(collect(base, "c.[t]?t")) == ["c.txt"]
    (base / "link").symlink_to("c.txt")
    assert paths(collect(base, "link")) == ["link"]


def test_a_pattern_that_matches_nothing(base: Path) -> None:
    with pytest.raises(TransferError, match=r"a: no file matches x, out/\*\.txt; if there need not be any"):
        collect(base, "x", "c.txt", "out/*.txt")
    assert paths(collect(base, "x", "c.txt", strict=False)) == ["c.txt"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda base: (base / "f").symlink_to("/etc/passwd"), "f leads out of the job's directory: leave it out with !f"),
        (lambda base: (base / "f").symlink_to("/nowhere"), "f leads out of the job's directory"),
        (lambda base: (base / "f").symlink_to("nowhere"), "f cannot be read: No such file or directory"),
        (lambda base: os.mkfifo(base / "f"), "f is no file"),
        (lambda base: (base / os.fsdecode(b"f\xff")).touch(), r"f\\udcff is not UTF-8"),
        (
            lambda base: [(base / "f").mkdir(), (base / "f/l").symlink_to("../out")],
            "f/l is a link to a directory: leave it out with !f/l",
        ),
    ],
)
def test_what_is_no_file_of_the_directory(base: Path, make: Any, expected: str) -> None:
    make(base)
    with pytest.raises(TransferError, match=f"^a: {expected}"):
        collect(base, "f*?", "f/**?")


def test_limits(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save, "MAX_FILES", 2)
    assert len(paths(collect(base, "out"))) == 2
    with pytest.raises(TransferError, match="4 files match, at most 2 are kept of a job: pack them into an archive"):
        collect(base, "*", "out")
    monkeypatch.setattr(globs, "MAX_FILES", 1)
    with pytest.raises(
        TransferError, match=r"^a: more than 1 files match, at most 2 are kept of a job: pack them into an archive"
    ):
        collect(base, "out")
    monkeypatch.undo()
    monkeypatch.setattr(save, "MAX_NAMES", 5)
    with pytest.raises(TransferError, match="pack them into an archive"):
        collect(base, "out")
    monkeypatch.setattr(save, "MAX_NAMES", limits.MAX_NAMES)
    monkeypatch.setattr(save, "ON_SERVER", 10)
    assert paths(collect(base, "out/b.html")) == ["out/b.html"]
    with pytest.raises(TransferError, match=r"set FLOWQ_STORE to a directory that all workers see \(file:///shared/flowq\)"):
        collect(base, "out")


def test_a_file_that_changes_while_it_is_read(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read

    def growing(fd: int, size: int) -> bytes:
        with (base / "c.txt").open("a") as file:
            file.write("more")
        return real(fd, size)

    monkeypatch.setattr(os, "read", growing)
    with pytest.raises(TransferError, match=r"a: c\.txt changed while it was read"):
        collect(base, "c.txt")


def test_files_are_put_in_place(base: Path) -> None:
    found = collect(base, "out", "c.txt", "empty")
    (base / "to" / "out").mkdir(parents=True)
    (base / "to" / "out" / "b.html").write_text("old")
    place(base, found)
    for name in paths(found):
        assert (base / "to" / name).read_bytes() == (base / name).read_bytes()
        assert os.access(base / "to" / name, os.X_OK) == (name == "c.txt")
    assert not [name for _, _, names in os.walk(base / "to") for name in names if name.endswith(".part")]


def altered(path: str, content: bytes | None = None) -> dict[str, Any]:
    row = [path, 1, "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", False]
    contents = {} if content is None else {row[2]: content}
    return {"items": [{"name": "j.a", "keep": None, "files": [row], "remote": content is None}], "contents": contents}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (altered("../x", b"1"), r"j\.a: \.\./x leaves its directory"),
        (altered("/x", b"1"), "is not the relative path of a file"),
        (altered("a//x", b"1"), "leaves its directory"),
        (altered("x\0", b"1"), r"x\\x00 has a NUL character"),
        (altered("x", b"2"), r"j\.a: x was altered on the server"),
        (altered("x"), "is in a file store, and this worker has none: set FLOWQ_STORE"),
        (altered("taken", b"1"), r"j\.a: taken: it cannot be written: Is a directory"),
        (altered("file/x", b"1"), "the directory .*/to/file cannot be made: "),
        (altered("away/x", b"1"), "away leads out of "),
    ],
)
def test_what_is_not_put_in_place(base: Path, found: dict[str, Any], expected: str) -> None:
    (base / "to" / "taken").mkdir(parents=True)
    (base / "to" / "file").touch()
    (base / "to" / "away").symlink_to("/tmp")
    before = sorted(os.listdir(base / "to"))
    with pytest.raises(TransferError, match=expected):
        place(base, found)
    assert sorted(os.listdir(base / "to")) == before


def test_a_stored_manifest() -> None:
    rows = [["a\nb", 3, "d", False], ["c", 4, "e", True]]
    found = read(b"- " + written(rows, remote=True, job="j", name="a").encode(), "j")
    assert ([file.row() for file in found.files], found.remote, found.until_ms, found.size) == (rows, True, None, 7)
    assert read(b"17 " + written([], remote=False, job="j", name="a").encode(), "j").expired(17)
    for stored in (
        b"",
        b"- {}",
        b'- {"remote":false,"files":[["../x",1,"d",false]]}',
        b"- []",
        b"x {}",
        b'- {"remote":0,"files":[[1]]}',
    ):
        with pytest.raises(CorruptRecordError, match="an artifact of job j cannot be"):
            read(stored, "j")
