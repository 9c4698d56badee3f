"""Foreign and odd files: diagnostics in little time and memory, in a child process.

The child has a limit on its address space, so that excessive use of memory fails the test and not the machine; the real use is measured.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLOWQ_CORPORA") or ROOT.parent / "shared" / "corpora")
MOST = 200_000  # kB
CHILD = """
import json, sys
from flowq.compiler import compile_file, render
from tests.support.memory import peak
for line in sys.stdin:
    result = compile_file(json.loads(line))
    assert (result.plan is None) == any(item.severity == "error" for item in result.diagnostics)
    text = "\\n".join(map(render, result.diagnostics))
    print(json.dumps([sorted({item.code for item in result.diagnostics}), len(text)]))
print(peak())
"""


@dataclass
class Told:
    """The report of a child: for each file the codes and the length of the text, and its peak memory in kB."""

    files: list[tuple[list[str], int]]
    memory: int


def told(paths: Sequence[Path], *, timeout: float = 100) -> Told:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))

    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CHILD],
        input="".join(json.dumps(str(path)) + "\n" for path in paths),
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=timeout, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-500:], done.stderr[-3000:])
    assert done.stderr == ""
    *lines, memory = done.stdout.splitlines()
    files = [(list(codes), int(length)) for codes, length in map(json.loads, lines)]
    assert len(files) == len(paths)
    return Told(files, int(memory))


def corpus(*patterns: str) -> list[Path]:
    files = sorted(path for pattern in patterns for path in CORPORA.glob(pattern) if path.is_file())
    if not files:
        pytest.skip(f"nothing is at {CORPORA}")
    return files


@pytest.mark.slow
def test_the_yaml_test_suite() -> None:
    files = corpus("yaml-test-suite/**/*")
    assert len(files) > 1000
    found = told(files)
    assert found.memory < MOST
    assert all(codes for codes, _ in found.files), "none of these is a flow"


@pytest.mark.slow
def test_workflow_files_of_other_systems() -> None:
    found = told(corpus("yaml/**/*"))
    assert found.memory < MOST
    assert all(codes for codes, _ in found.files)


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def odd_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield files with the code of their refusal."""

    def written(name: str, data: bytes) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    sparse(folder / "sparse.yaml", 100 * 1024**2)
    sparse(folder / "nul.yaml", 31 * 1024**2)
    (folder / "itself.yaml").symlink_to("itself.yaml")
    (folder / "gone.yaml").symlink_to("nowhere")
    yield folder / "folder.yaml", "FQ001"
    yield folder / "pipe.yaml", "FQ001"
    yield folder / "itself.yaml", "FQ001"
    yield folder / "gone.yaml", "FQ001"
    yield folder / ("n" * 300), "FQ001"
    yield Path("/dev/zero"), "FQ001"
    yield folder / "sparse.yaml", "FQ002"
    yield folder / "nul.yaml", "FQ004"
    yield written("hundred.yaml", b"# " + b"x" * 100 * 1024**2), "FQ002"
    yield written("utf8.yaml", b"jobs:\n  a: {run: \xff\xfe}\n"), "FQ003"
    yield written("half.yaml", b"name: \xf0\x9f\x98"), "FQ003"
    yield written("surrogate.yaml", b"name: \xed\xa0\x80"), "FQ003"
    yield written("utf16.yaml", "jobs: {a: {run: x}}".encode("utf-16")), "FQ003"
    yield written("escape.yaml", b"name: \x1b[31m"), "FQ004"
    yield written("lists.yaml", b"[" * 1_000_000), "FQ011"
    yield written("maps.yaml", b"{a: " * 500_000), "FQ011"
    yield written("keys.yaml", b"? " * 500_000), "FQ011"
    yield written("dashes.yaml", b"- " * 500_000), "FQ011"
    yield written("scalar.yaml", b"name: " + b"x" * 8 * 1024**2), "FQ104"
    yield written("key.yaml", b"x" * 8 * 1024**2 + b": 1"), "FQ010"
    yield written("quote.yaml", b'name: "' + b"x\\n" * 2 * 1024**2), "FQ010"
    yield written("lines.yaml", b"\n" * 8 * 1024**2), "FQ020"
    yield written("comment.yaml", b"#" * 8 * 1024**2), "FQ020"
    yield written("anchors.yaml", b"".join(b"a%d: &a%d x\n" % (n, n) for n in range(50_000))), "FQ101"
    bomb = b"a0: &a0 [" + b"x, " * 100 + b"x]\n"
    bomb += b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 20)) for n in range(1, 60))
    yield written("bomb.yaml", bomb), "FQ012"
    yield (
        written(
            "merges.yaml",
            b"m0: &m0 {a: 1}\n"
            + b"".join(b"m%d: &m%d {<<: [%s]}\n" % (n, n, b", ".join([b"*m%d" % (n - 1)] * 9)) for n in range(1, 90)),
        ),
        "FQ012",
    )
    yield written("tags.yaml", b"jobs: !!python/object/apply:os.system ['touch canary']\n"), "FQ014"
    yield written("digits.yaml", b"timeout: " + b"9" * 1_000_000), "FQ016"
    yield written("expression.yaml", b"jobs: {a: {run: 'echo ${{ " + b"(" * 1_000_000), "FQ010"
    yield written("template.yaml", b'jobs: {a: {run: [x, "' + b"${{ " * 200_000 + b'"]}}'), "FQ401"
    yield written("holes.yaml", b'jobs: {a: {call: m.f, args: ["' + b"${{ nope }}" * 50_000 + b'"]}}'), "FQ402"
    yield written("script.yaml", b"jobs: {a: {run: 'echo " + b"$(" * 100_000 + b"${{ run.id }}'}}"), "FQ501"


@pytest.mark.slow
def test_odd_files(tmp_path: Path) -> None:
    wanted = list(odd_files(tmp_path))
    found = told([path for path, _ in wanted])
    got = {path.name: codes for (path, _), (codes, _) in zip(wanted, found.files, strict=True)}
    assert {path.name: code for path, code in wanted if code not in got[path.name]} == {}, got
    assert max(length for _, length in found.files) < 200_000
    assert found.memory < MOST
    assert not Path("canary").exists()
