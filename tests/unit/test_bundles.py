"""Bundles: which files belong, the hash of their content, and the archive that travels."""

import gzip
import io
import os
import random
import shutil
import tarfile
from pathlib import Path

import pytest

from flowq.bundles import listing
from flowq.bundles.archive import BundleError, pack, unpack
from flowq.bundles.listing import Rules, hash_of, list_files
from flowq.exceptions import UsageError
from tests.support.wait import limited


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for path, text in {
        "flow.yaml": "jobs: {}",
        "lib/code.py": "x = 1",
        "lib/__pycache__/code.pyc": "no",
        ".git/config": "no",
        ".env": "SECRET=1",
        ".env.local": "SECRET=2",
        ".flowq/other.yaml": "jobs: {}",
        "env/pyvenv.cfg": "no",
        "env/lib/site.py": "no",
        "data/big.csv": "1,2",
        "ünï code.txt": "é",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "lib/link.py").symlink_to("code.py")
    (root / "current").symlink_to("lib")
    return root


def paths(root: Path, rules: Rules = Rules()) -> list[str]:  # noqa: B008 - frozen
    return [file.path for file in list_files(str(root), rules)]


EVERYTHING = [
    ".flowq/other.yaml",
    "current",
    "data/big.csv",
    "flow.yaml",
    "lib/code.py",
    "lib/link.py",
    "run.sh",
    "ünï code.txt",
]


def test_everything_belongs_but_history_environments_and_secrets(project: Path) -> None:
    assert paths(project) == EVERYTHING


def test_patterns_exclude_and_include(project: Path) -> None:
    (project / ".flowqignore").write_text("# data\ndata\n")
    assert paths(project) == sorted([*(path for path in EVERYTHING if not path.startswith("data")), ".flowqignore"])
    assert paths(project, Rules(exclude=("lib", "*.txt"))) == [
        ".flowq/other.yaml",
        ".flowqignore",
        "current",
        "flow.yaml",
        "run.sh",
    ]
    assert paths(project, Rules(include=("*.yaml", "lib/**", ".env"))) == [".env", "flow.yaml", "lib/code.py", "lib/link.py"]


def test_the_hash_is_that_of_paths_kinds_and_contents(project: Path) -> None:
    before = hash_of(list_files(str(project), Rules()))
    os.utime(project / "flow.yaml", (1, 1))
    (project / ".git/config").write_text("changed")
    assert hash_of(list_files(str(project), Rules())) == before
    hashes = {before}
    (project / "current").unlink()
    for change in (
        lambda: (project / "flow.yaml").write_text("jobs: {a: {}}"),
        lambda: (project / "flow.yaml").chmod(0o755),
        lambda: (project / "flow.yaml").rename(project / "other.yaml"),
        lambda: (project / "current").symlink_to("data"),
    ):
        change()
        hashes.add(hash_of(list_files(str(project), Rules())))
    assert len(hashes) == 5


def test_a_bundle_comes_back_as_it_was(project: Path, tmp_path: Path) -> None:
    files = list_files(str(project), Rules())
    data = pack(str(project), files)
    unpack(data, str(tmp_path / "there"), hash_of(files))
    assert list_files(str(tmp_path / "there"), Rules()) == files
    assert (tmp_path / "there/run.sh").stat().st_mode & 0o111
    assert (tmp_path / "there/current/code.py").read_text() == "x = 1"
    os.utime(project / "flow.yaml", (1, 1))
    assert pack(str(project), files) == data


def test_hidden_files_that_were_included_come_back(project: Path, tmp_path: Path) -> None:
    files = list_files(str(project), Rules(include=(".env", ".flowq/**")))
    assert [file.path for file in files] == [".env", ".flowq/other.yaml"]
    unpack(pack(str(project), files), str(tmp_path / "there"), hash_of(files))


def test_a_link_that_leaves_the_directory_is_refused(project: Path) -> None:
    (project / "out").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match=r"out is a link to /etc/passwd, outside the directory"):
        list_files(str(project), Rules())
    assert paths(project, Rules(exclude=("out",))) == EVERYTHING


def test_what_is_no_file_is_refused(project: Path) -> None:
    os.mkfifo(project / "pipe")
    with pytest.raises(UsageError, match="pipe is no file"):
        list_files(str(project), Rules())


@pytest.mark.parametrize(("name", "limit"), [("MAX_FILES", 3), ("MAX_BYTES", 10)])
def test_a_bundle_has_a_limit(project: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int) -> None:
    monkeypatch.setattr(listing, name, limit)
    with pytest.raises(UsageError, match=r"too large for a bundle.*bundle\.exclude"):
        list_files(str(project), Rules())


@pytest.mark.parametrize(("kind", "told"), [("directory", "Is a directory"), ("device", "has more than 1,048,576 bytes")])
def test_a_file_of_patterns_that_is_none(project: Path, kind: str, told: str) -> None:
    place = project / ".flowqignore"
    if kind == "directory":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=rf"patterns of the bundle of .*: \.flowqignore .*{told}"):
        list_files(str(project), Rules())


def test_a_pipe_in_place_of_a_file_of_patterns_is_not_waited_for(project: Path) -> None:
    os.mkfifo(project / ".flowqignore")
    with limited(5), pytest.raises(UsageError, match="is no file"):
        list_files(str(project), Rules())


def test_an_altered_archive_leaves_nothing(project: Path, tmp_path: Path) -> None:
    files = list_files(str(project), Rules())
    data = pack(str(project), files)
    (project / "lib/code.py").write_text("x = 2")
    other = pack(str(project), list_files(str(project), Rules()))
    for bad, reason in (
        (other, "another content"),
        (data[:-40], "cannot be unpacked"),
        (b"", "cannot be unpacked"),
        (data[:40], "cannot"),
    ):
        with pytest.raises(BundleError, match=reason):
            unpack(bad, str(tmp_path / "there"), hash_of(files))
        assert not (tmp_path / "there").exists()


def test_a_damaged_archive_is_told_wherever_the_damage_is(project: Path, tmp_path: Path) -> None:
    """As after a fault of a disk: the next try gets another copy only if this one is known to be damaged."""
    number = random.Random(5)
    (project / "data/big.csv").write_text("\n".join(str(number.random()) for _ in range(2000)))
    files = list_files(str(project), Rules())
    data = pack(str(project), files)
    there, told = tmp_path / "there", 0
    for _ in range(120):
        bad = bytearray(data)
        bad[number.randrange(10, len(data))] ^= 1 << number.randrange(8)
        try:
            unpack(bytes(bad), str(there), hash_of(files))
            shutil.rmtree(there)  # that bit does not matter, as one of a check sum
        except BundleError:
            told += 1
        assert not there.exists()
    assert told > 100


@pytest.mark.parametrize("entry", ["../out", "/tmp/out", "device", "link"])
def test_an_archive_cannot_write_elsewhere(tmp_path: Path, entry: str) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        info = tarfile.TarInfo(entry)
        if entry == "device":
            info.type = tarfile.CHRTYPE
        if entry == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(info, io.BytesIO(b""))
    with pytest.raises(BundleError):
        unpack(gzip.compress(raw.getvalue()), str(tmp_path / "there"), "0" * 64)
    assert os.listdir(tmp_path) == []
