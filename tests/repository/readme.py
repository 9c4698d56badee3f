"""The generator of the README's blocks: `python -m tests.repository.readme --check` or `--write`.

Two kinds of marked blocks are generated:

    <!-- file: PATH -->        the text of a file of the repository, without its leading comment lines
    <!-- output: COMMAND -->   what the command prints when it is run in a fresh home, 92 columns wide

Each is followed by a fenced block. Output is compared without ids, times and the order of lines, which differ between runs.
"""

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = ROOT / "README.md"

_BLOCK: Final = re.compile(
    r"<!-- (?P<kind>file|output): (?P<what>.+?) -->\n```(?P<language>\w*)\n(?P<text>.*?)```\n", re.DOTALL
)
_RUN_ID: Final = re.compile(r"\b[0-9abcdefghjkmnpqrstvwxyz]{8}\b")
_TIME: Final = re.compile(r"\d\d\d\d-\d\d-\d\d|\d+:\d\d(:\d\d)?(\.\d+)?|\d+(\.\d+)? ?(ms|s)\b|\d+m ?\d\d?s")


@dataclass(frozen=True, slots=True)
class Block:
    """A marked block of the README, with its position."""

    kind: str
    what: str
    language: str
    text: str
    start: int
    stop: int

    def render(self, text: str) -> str:
        """Return the block with another text, in the form of the README."""
        return f"<!-- {self.kind}: {self.what} -->\n```{self.language}\n{text}```\n"


def blocks(readme: str) -> Iterator[Block]:
    """Yield the marked blocks in order."""
    for match in _BLOCK.finditer(readme):
        yield Block(match["kind"], match["what"], match["language"], match["text"], match.start(), match.end())


def fresh(block: Block) -> str:
    """Return the current text for the block."""
    return _file(block.what) if block.kind == "file" else _output(block.what)


def same(block: Block, text: str) -> bool:
    """Return whether the block equals `text`; for output, apart from ids, times and the order of lines."""
    if block.kind == "file":
        return block.text == text
    return _essence(block.text) == _essence(text)


def _file(name: str) -> str:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines(keepends=True)
    while lines and (lines[0].startswith("#") or not lines[0].strip()):
        lines.pop(0)
    return "".join(lines)


def _output(command: str) -> str:
    program, *arguments = shlex.split(command)
    with tempfile.TemporaryDirectory(prefix="fq-", dir="/tmp") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWQ_", "CI"))}
        environment.update(FLOWQ_HOME=home, FLOWQ_LINGER="0", COLUMNS="92", NO_COLOR="1")
        path = Path(sys.executable).parent / program
        done = subprocess.run(
            [str(path), *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        subprocess.run([str(path), "server", "stop"], env=environment, capture_output=True, timeout=60, check=False)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.decode().splitlines())


def _essence(text: str) -> list[str]:
    lines = (_TIME.sub("T", _RUN_ID.sub("ID", line)) for line in text.splitlines())
    return sorted(" ".join(line.split()) for line in lines)


def check() -> int:
    """Print the stale blocks of the README; return 1 if there are some."""
    stale = 0
    for block in blocks(README.read_text(encoding="utf-8")):
        text = fresh(block)
        if same(block, text):
            continue
        stale = 1
        difference = difflib.unified_diff(block.text.splitlines(), text.splitlines(), "README.md", "now", lineterm="")
        remedy = "`python -m tests.repository.readme --write` generates it again"
        lines = [f"README.md: the block `{block.kind}: {block.what}` is stale; {remedy}", *difference]
        sys.stdout.write("\n".join(lines) + "\n")
    return stale


def write() -> int:
    """Generate every stale block again."""
    readme = README.read_text(encoding="utf-8")
    for block in reversed(list(blocks(readme))):
        text = fresh(block)
        if not same(block, text):
            readme = readme[: block.start] + block.render(text) + readme[block.stop :]
    README.write_text(readme, encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Check or write."""
    parser = argparse.ArgumentParser(prog="readme", description="Keep the README's blocks true.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--check", action="store_const", const=check, dest="action", help="say what is stale, exit 1 if something is"
    )
    action.add_argument("--write", action="store_const", const=write, dest="action", help="generate stale blocks again")
    code: int = parser.parse_args(argv).action()
    return code


if __name__ == "__main__":
    sys.exit(main())
