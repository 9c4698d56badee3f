"""`cache` in the horse: digests, changes, and stored records. Real files, no server."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowq.worker.horse.cache import decide
from flowq.worker.ipc.messages import failed, finished

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Bench:
    """A job's directory, and the records that a store would have."""

    directory: Path
    kept: dict[str, str] = field(default_factory=dict)
    latest: str | None = None
    ran: int = 0

    def run(self, perform: Callable[[], None] = lambda: None, *, ends: str = "finished", **changes: Any) -> dict[str, Any]:
        """Execute the job once; return its cache report."""

        def performed() -> dict[str, Any]:
            self.ran += 1
            perform()
            return finished(b"1") if ends == "finished" else failed("error", "boom")

        outcome = decide.through(self.task(**changes), performed)
        said: dict[str, Any] = outcome["cache"]
        if "record" in said:
            self.kept[said["digest"]] = said["record"]
        self.latest = said.get("latest", self.latest)
        return said

    def task(self, **changes: Any) -> dict[str, Any]:
        settings = {
            "id": "x",
            "inputs": ["src"],
            "outputs": [],
            "key": None,
            "ttl": None,
            "look": True,
            "earlier": {digest: [False, record.encode()] for digest, record in self.kept.items()},
            "latest": None if self.latest is None else self.latest.encode(),
        }
        task = {"run": "run00001", "kind": "shell", "script": "make", "shell": [], "variables": {}, "env": {}}
        inner = {name: value for name, value in changes.items() if name in settings}
        return task | {name: value for name, value in changes.items() if name not in settings} | {"cache": settings | inner}

    def write(self, name: str, text: str) -> None:
        (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / name).write_text(text)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path)
    bench.write("src/a.c", "a")
    bench.write("src/sub/b.c", "b")
    return bench


def test_nothing_has_changed(bench: Bench) -> None:
    assert bench.run()["reason"] == "no earlier result"
    said = bench.run(key='"2026"')
    assert said["reason"] == "key changed"
    said = bench.run(key='"2026"')
    assert (said["hit"], said["reason"], said["run"]) == (True, 'key "2026" and 2 input files unchanged', "run00001")
    assert bench.run()["reason"] == "2 input files unchanged", "the one before is kept as well"
    assert bench.ran == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"script": "make all"}, "script changed"),
        ({"shell": ["zsh"]}, "shell changed"),
        ({"variables": {"FLOWQ_V1": "x"}}, "values in the script changed"),
        ({"env": {"LEVEL": "1"}}, "variable LEVEL changed"),
        ({"env": {"A": "1", "B": "", "C": "", "D": "", "E": ""}}, "variable A, variable B, variable C and 2 more changed"),
        ({"kind": "argv", "argv": ["make"]}, "script, shell, command changed"),
        ({"inputs": ["src", "more"]}, "patterns changed; inputs changed: more (new)"),
        ({"outputs": ["src/*.o"]}, "patterns changed; not kept: no file matches src/*.o"),
        ({"look": False}, "without the cache, as asked"),
    ],
)
def test_a_changed_action(bench: Bench, changes: dict[str, Any], reason: str) -> None:
    bench.write("more", "")
    bench.run()
    assert bench.run(**changes)["reason"] == reason
    assert bench.run()["hit"] is True


def test_files_that_have_changed_are_named(bench: Bench) -> None:
    bench.run()
    bench.write("src/a.c", "other")
    bench.write("src/c.c", "")
    os.unlink("src/sub/b.c")
    assert bench.run()["reason"] == "inputs changed: src/a.c, src/c.c (new), src/sub/b.c (gone)"
    for number in range(9):
        bench.write(f"src/{number}", "")
    assert bench.run()["reason"] == "inputs changed: src/0 (new), src/1 (new), src/2 (new) and 6 more"
    os.chmod("src/a.c", 0o700)
    assert bench.run()["reason"] == "inputs changed: src/a.c", "it can be executed now"


def test_a_file_with_another_name_is_another_file(bench: Bench) -> None:
    bench.run()
    os.rename("src/a.c", "src/d.c")
    assert bench.run()["hit"] is False


def test_modification_times_do_not_count(bench: Bench) -> None:
    bench.run()
    os.utime("src/a.c", (1, 1))
    assert bench.run()["hit"] is True


def test_links(bench: Bench) -> None:
    bench.write("other/z", "z")
    os.symlink("../other", "src/directory")
    os.symlink("../other/z", "src/file")
    os.symlink("nowhere", "src/nothing")
    bench.run()
    assert bench.run()["hit"] is True
    bench.write("other/y", "")
    assert bench.run()["hit"] is True, "a directory behind a link is not looked into"
    bench.write("other/z", "changed")
    assert bench.run()["reason"] == "inputs changed: src/file"
    os.unlink("src/directory")
    os.symlink("../src", "src/directory")
    assert bench.run()["reason"] == "inputs changed: src/directory"


def test_names_of_any_bytes(bench: Bench) -> None:
    """The message is a line of text, and the record distinguishes the files."""
    for name in (b"src/\xff.c", b"src/\xfe.c", b"src/a\nb \x1b[31m.c", "src/ü.c".encode()):
        (bench.directory / os.fsdecode(name)).write_text("x")
    bench.run(lambda: bench.write(os.fsdecode(b"out/\xff"), ""), outputs=["out/*"])
    assert bench.run(outputs=["out/*"])["hit"] is True
    (bench.directory / os.fsdecode(b"src/\xff.c")).write_text("y")
    (bench.directory / "src/a\nb \x1b[31m.c").unlink()
    said = bench.run(outputs=["out/*"])
    assert said["reason"] == r"inputs changed: src/\udcff.c, src/a\nb \x1b[31m.c (gone)"
    (bench.directory / os.fsdecode(b"out/\xff")).unlink()
    assert bench.run(outputs=["out/*"])["reason"].startswith(r"outputs missing: out/\udcff")
    assert bench.run(inputs=["src/*\0.c", "src/\0"])["reason"] == r"not used: no file matches src/*\x00.c, src/\x00"
    assert bench.run(key='"\ud800\n"', inputs=[])["reason"].startswith("patterns, key changed")
    assert bench.run(key='"\ud800\n"', inputs=[])["reason"] == r'key "\ud800\n" unchanged'


def test_a_deleted_directory(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert bench.run()["reason"] == "not used: the job's directory cannot be told: No such file or directory"
    assert bench.ran == 1


def test_a_pipe_among_the_inputs_does_not_block(bench: Bench) -> None:
    os.mkfifo("src/pipe")
    bench.run()
    assert bench.run()["hit"] is True


def test_a_file_that_cannot_be_read(bench: Bench) -> None:
    os.chmod("src/a.c", 0)
    if os.access("src/a.c", os.R_OK):
        pytest.skip("root reads everything")
    assert bench.run()["reason"] == "not used: src/a.c cannot be read: Permission denied"
    assert bench.kept == {}


def test_a_pattern_without_matches_is_reported_and_nothing_is_cached(bench: Bench) -> None:
    assert bench.run(inputs=["src", "scr/*.c"])["reason"] == "not used: no file matches scr/*.c"
    assert (bench.ran, bench.kept) == (1, {})


def test_outputs_must_be_unchanged(bench: Bench) -> None:
    def make() -> None:
        bench.write("out/x", "x")
        bench.write("out/y", "y")

    assert bench.run(make, outputs=["out/*"])["reason"] == "no earlier result"
    assert bench.run(make, outputs=["out/*"])["hit"] is True
    bench.write("out/another-file", "")
    assert bench.run(make, outputs=["out/*"])["hit"] is True
    bench.write("out/x", "by hand")
    assert bench.run(make, outputs=["out/*"])["reason"] == "outputs changed: out/x"
    os.unlink("out/y")
    assert bench.run(make, outputs=["out/*"])["reason"] == "outputs missing: out/y"
    assert bench.run(make, outputs=["out/*"])["hit"] is True


def test_outputs_among_the_inputs_do_not_count(bench: Bench) -> None:
    patterns: dict[str, Any] = {"inputs": ["**"], "outputs": ["out/*"]}
    bench.run(lambda: bench.write("out/x", "1"), **patterns)
    assert bench.run(**patterns)["reason"] == "2 input files unchanged"


def test_nothing_is_cached_without_the_outputs(bench: Bench) -> None:
    said = bench.run(outputs=["out/*"])
    assert said["reason"] == "no earlier result; not kept: no file matches out/*"
    assert bench.kept == {}


def test_nothing_is_cached_if_inputs_change_while_the_job_runs(bench: Bench) -> None:
    """The job may have read other content than the digest covers."""
    assert bench.run(lambda: bench.write("src/a.c", "later"))["reason"].endswith("not kept: src/a.c changed while the job ran")
    assert bench.run(lambda: bench.write("src/new", ""))["reason"].endswith("not kept: src/new changed while the job ran")
    assert bench.run(lambda: os.unlink("src/new"))["reason"].endswith("not kept: src/new changed while the job ran")
    assert bench.kept == {}


def test_a_failure_is_not_cached(bench: Bench) -> None:
    said = bench.run(ends="failed")
    assert said == {"hit": False, "reason": "no earlier result"}


def test_too_many_outputs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "MAX_RECORD", 100)
    for number in range(9):
        bench.write(f"out/{number}", "")
    said = bench.run(outputs=["out/*"])
    assert said["reason"].endswith("not kept: `outputs` matches 9 files, which is too many: name one that is made last")


def test_the_stored_record_stays_small(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        bench.write(f"src/{number}", "")
    for limit, reasons in (
        (250, ("inputs changed", "script changed")),
        (60, ("something has changed", "something has changed")),
    ):
        monkeypatch.setattr(decide, "MAX_RECORD", limit)
        bench.run()
        assert bench.latest is not None
        assert len(bench.latest) <= limit
        bench.write("src/a.c", f"changed for {limit}")
        assert bench.run()["reason"] == reasons[0]
        assert bench.run(script=f"other {limit}")["reason"] == reasons[1]
        bench.run()


def test_a_job_that_changes_its_directory(bench: Bench) -> None:
    """A callable may change the directory of its process; patterns are relative to the job's directory."""

    def elsewhere() -> None:
        bench.write("out/x", "x")
        os.chdir("/")

    assert "not kept" not in bench.run(elsewhere, outputs=["out/*"])["reason"]


def test_the_code_of_a_callable_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(bench.directory))
    bench.write("pack/__init__.py", "raise SystemExit('it is not imported to be looked at')")
    bench.write("pack/jobs.py", "def f(): return 1")
    call: dict[str, Any] = {
        "kind": "call",
        "module": "pack.jobs",
        "attribute": "f",
        "args": [1],
        "kwargs": {"b": {"x": [1]}},
        "inputs": [],
    }
    bench.run(**call, key="1")
    assert bench.run(**call, key="1")["reason"] == "key 1 unchanged"
    assert bench.run(**call | {"args": [2]}, key="1")["reason"] == "argument 1 changed"
    bench.run(**call, key="1")
    assert bench.run(**call | {"kwargs": {}}, key="1")["reason"] == "argument b changed", "compared with the latest, a hit"
    bench.run(**call, key="1")
    bench.write("pack/jobs.py", "def f(): return 2")
    assert bench.run(**call, key="1")["reason"] == "code of pack.jobs changed"
    builtin = call | {"module": "builtins", "attribute": "len"}
    bench.run(**builtin, key="1")
    assert bench.run(**builtin, key="1")["hit"] is True, "there is no file to look at"


@pytest.mark.parametrize("seed", range(8))
def test_hits_agree_with_a_model(bench: Bench, seed: int) -> None:
    """Files, values and outputs change at random; a model records the cached results."""
    rng = random.Random(seed)
    seen: dict[str, str] = {}  # inputs of a result -> its output
    value = "0"

    def make() -> None:
        bench.write("out/x", made_of())

    def made_of() -> str:
        files = {str(path): path.read_text() for path in sorted(Path("src").rglob("*")) if path.is_file()}
        return json.dumps([files, value])

    for _ in range(60):
        match rng.randrange(6):
            case 0:
                bench.write(f"src/{rng.choice('abc')}.c", rng.choice("xy"))
            case 1:
                Path(f"src/{rng.choice('bc')}.c").unlink(missing_ok=True)
            case 2:
                value = rng.choice("01")
            case 3:
                Path("out/x").unlink(missing_ok=True)
            case 4 if Path("out/x").exists():
                bench.write("out/x", rng.choice([made_of(), "by hand"]))
            case _:
                pass
        there = Path("out/x").read_text() if Path("out/x").exists() else None
        expected = made_of() in seen and seen[made_of()] == there
        said = bench.run(make, outputs=["out/*"], variables={"V": value})
        assert said["hit"] is expected, said
        seen[made_of()] = made_of()
        assert Path("out/x").read_text() == made_of(), "after every run, whatever it did, the output is that of the inputs"


def test_the_imports_of_the_cache_are_light() -> None:
    """A horse pays for its imports; hashlib alone takes 10 ms."""
    told = (
        "import sys; import flowq.worker.horse.horse; before = set(sys.modules); import flowq.worker.horse.cache.decide; import re;"
        " print(*sorted(name for name in set(sys.modules) - before if not name.startswith('flowq.')))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", told], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(done.stdout.split()) <= {"_blake2"}
