"""Glob patterns of a `cache`."""

import glob
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowq import globs
from flowq.globs import GlobError, match
from tests.support.nesting import nested

FILES = (
    "a.c",
    "a.h",
    "b[1].c",
    ".hidden/x.c",
    ".env",
    "src/a.c",
    "src/b.py",
    "src/.dot.c",
    "src/sub/deep/c.c",
    "src/__pycache__/b.pyc",
    "src/sub/{x}.c",
    "src/sub/a,b.c",
    "other/a.c",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "empty").mkdir()
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "z.c").write_text("z")
    (root / "to-beside").symlink_to("../beside")
    (root / "src" / "loop").symlink_to(".")
    (root / "to-a").symlink_to("a.c")
    (root / "to-nothing").symlink_to("nothing")
    return root


def found(root: Path, *patterns: str, without: tuple[str, ...] = ()) -> list[str]:
    return match(str(root), list(patterns), list(without))[0]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.c", ["a.c"]),
        ("./a.c", ["a.c"]),
        ("*.c", ["a.c", "b[1].c"]),
        ("?.[ch]", ["a.c", "a.h"]),
        ("?.[!c]", ["a.h"]),
        ("[]a].c", ["a.c"]),
        ("b[[]1].c", ["b[1].c"]),
        ("*.{c,h}", ["a.c", "a.h", "b[1].c"]),
        ("{src/{a,b}.*,a.h}", ["a.h", "src/a.c", "src/b.py"]),
        ("src", ["src/a.c", "src/b.py", "src/loop", "src/sub/a,b.c", "src/sub/deep/c.c", "src/sub/{x}.c"]),
        ("src/", ["src/a.c", "src/b.py", "src/loop", "src/sub/a,b.c", "src/sub/deep/c.c", "src/sub/{x}.c"]),
        ("src/**", ["src/a.c", "src/b.py", "src/loop", "src/sub/a,b.c", "src/sub/deep/c.c", "src/sub/{x}.c"]),
        ("src/*", ["src/a.c", "src/b.py", "src/loop"]),
        ("**/a.c", ["a.c", "other/a.c", "src/a.c"]),
        ("**/sub/**/*.c", ["src/sub/a,b.c", "src/sub/deep/c.c", "src/sub/{x}.c"]),
        ("*/**/c.c", ["src/sub/deep/c.c"]),
        (".hidden", [".hidden/x.c"]),
        (".*", [".env"]),
        ("**/.dot.c", ["src/.dot.c"]),
        ("src/__pycache__", ["src/__pycache__/b.pyc"]),
        ("to-beside/*.c", ["to-beside/z.c"]),
        ("to-beside", ["to-beside/z.c"]),
        ("*-beside", ["to-beside"]),
        ("../beside/*", ["../beside/z.c"]),
        ("to-*", ["to-a", "to-beside", "to-nothing"]),
        ("to-nothing", ["to-nothing"]),
        ("a.c/b", []),
        ("none/*.c", []),
        ("[", []),
        ("{a.c", []),
    ],
)
def test_a_pattern(tree: Path, pattern: str, expected: list[str]) -> None:
    assert match(str(tree), [pattern], []) == (expected, [] if expected else [pattern])


def test_an_absolute_pattern_gives_absolute_paths(tree: Path) -> None:
    assert found(tree, f"{tree.parent}/beside/*") == [f"{tree.parent}/beside/z.c"]
    assert found(tree, f"{tree.parent}/beside", f"!{tree.parent}/beside/z*") == []


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["src", "!src/sub"], ["src/a.c", "src/b.py", "src/loop"]),
        (["!src/sub/**", "src"], ["src/a.c", "src/b.py", "src/loop"]),
        (["src/**/*.c", "!**/c.c", "!src/sub/*{,}.c"], ["src/a.c"]),
        (["**/*.c", "!*.c"], ["other/a.c", "src/a.c", "src/sub/a,b.c", "src/sub/deep/c.c", "src/sub/{x}.c"]),
        (["*.c", "!b[[]1].c"], ["a.c"]),
        (["*.?", "!a.[!h]"], ["a.h", "b[1].c"]),
    ],
)
def test_excluded_files(tree: Path, patterns: list[str], expected: list[str]) -> None:
    assert found(tree, *patterns) == expected


def test_outputs_are_not_inputs(tree: Path) -> None:
    assert found(tree, "*.c", "src/*.c", without=("src",)) == ["a.c", "b[1].c"]


def test_an_excluded_directory_is_not_read(tree: Path) -> None:
    closed = tree / "src" / "closed"
    closed.mkdir(mode=0o000)
    try:
        if os.access(closed, os.R_OK):
            pytest.skip("nothing is closed to root")
        with pytest.raises(GlobError, match="src/closed cannot be read"):
            found(tree, "src")
        assert "src/a.c" in found(tree, "src", "!src/closed")
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize("pattern", ["far", "far/**/x"])
def test_directories_that_are_nested_without_end(tmp_path: Path, pattern: str) -> None:
    with nested(tmp_path / "far"), pytest.raises(GlobError, match="one below the other"):
        match(str(tmp_path), [pattern], [])


def test_a_link_to_itself_is_no_directory(tree: Path) -> None:
    (tree / "ring").symlink_to("ring")
    assert found(tree, "*/a.c") == ["other/a.c", "src/a.c"]
    assert found(tree, "r*") == ["ring"]


def test_limits(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GlobError, match="stands for more than 1,000 patterns"):
        found(tree, "{a,b}" * 12)
    monkeypatch.setattr(globs, "MAX_FILES", 3)
    with pytest.raises(GlobError, match="more than 3 files match"):
        found(tree, "**/*.c")


SEGMENTS = st.sampled_from(["**", "*", "a*", "*.c", "?", "src", "sub", "deep", "[a-c]*", "[!s]*", "*.[ch]", ".*"])


@example(pattern="**/**/*.c")
@given(pattern=st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_patterns_match_as_in_the_standard_library(tree: Path, pattern: str) -> None:
    """Exceptions: links to directories, which `**` does not follow here, `__pycache__`, and directories, which no pattern here names."""
    for name in ("to-beside", "src/loop"):
        (tree / name).unlink(missing_ok=True)
    if pattern.endswith("**") or pattern.rsplit("/", 1)[-1] in {"src", "sub", "deep"}:
        pattern += "/*"
    known = {path for path in glob.glob(pattern, root_dir=tree, recursive=True) if not (tree / path).is_dir()}
    ours, _ = match(str(tree), [pattern], [])
    assert set(ours) == {path for path in known if "__pycache__" not in path}
