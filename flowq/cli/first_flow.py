"""The files that `flowq init` writes: a commented flow, its schema, and lines of `.gitignore`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flowq.cli.flow_choice import DEFAULT, DIRECTORY, default_files
from flowq.exceptions import UsageError

SCHEMA: Final = f"{DIRECTORY}/flow.schema.json"

_IGNORED: Final = ("/out/", ".env", "__pycache__/")  # what the flow writes, values of secrets, what Python writes
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})  # of YAML

_FLOW: Final = """\
# yaml-language-server: $schema=<schema>
#
# A flow: jobs, and what they depend on. Run it, change it, run it again:
#
#   flowq run                      # with another value: flowq run -p greeting=Bonjour
#   flowq validate                 # find mistakes, before anything runs
#   flowq status                   # how the last run went; flowq why report: why a job did what it did
#   flowq retry --failed           # after a failure: only what failed, and what depends on it
name: <name>
description: Count the words of some texts, and write a report

params:
  greeting: {type: string, default: Hello, description: first line of the report}

jobs:
  # The result of a job is what it writes to $FLOWQ_OUTPUT: name=value, or a line of JSON, which keeps lists and numbers.
  find:
    run: |
      echo '{"texts": ["one fish", "two red fish", "blue"]}' >> "$FLOWQ_OUTPUT"

  # One job for each item of a list; they run side by side. A job that fails gets two more attempts.
  count:
    depends_on: find
    foreach: jobs.find.result.texts
    retry: 2
    timeout: 1m
    run: |
      words=$(printf '%s' ${{ item }} | wc -w)
      echo "words=$((words))" >> "$FLOWQ_OUTPUT"

  # Values of params and results of other jobs are put into scripts as quoted words, so that no value is taken for a command.
  report:
    depends_on: count
    run: |
      mkdir -p out
      {
        echo ${{ params.greeting }}
        echo "words: ${{ join(jobs.count.result[*].words, ', ') }}"
      } > out/report.txt
      cat out/report.txt

# Handlers run when all jobs have ended.
on_failure:
  tell:
    run: echo "failed -- ${{ join(run.failed_jobs, ', ') }}"
"""


def write_first_flow(directory: str) -> Iterator[str]:
    """Write the files into a directory, which is made if it is missing; yield a line about each. Existing files are kept.

    Raises:
        UsageError: there is a flow already, or a file cannot be written.
    """
    base = Path(directory)
    if there := default_files(directory):
        raise UsageError(f"{base / there[0]} is a flow already: nothing was written; `flowq init DIR` writes one elsewhere")
    try:
        base.mkdir(parents=True, exist_ok=True)
        yield _write_flow(base)
        yield _write_schema(base)
        yield _extend_gitignore(base)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot write a flow into {directory!r}: {getattr(error, 'strerror', None) or error}") from error


def _write_flow(base: Path) -> str:
    file = base / DEFAULT
    text = _FLOW.replace("<schema>", SCHEMA).replace("<name>", _name(base.resolve().name))
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise UsageError(f"{file} exists already: nothing was written; `flowq init DIR` writes one elsewhere") from None
    return f"wrote {file}"


def _write_schema(base: Path) -> str:
    from flowq.compiler.syntax.schema import schema_path

    file = base / SCHEMA
    file.parent.mkdir(exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(schema_path().read_text(encoding="utf-8"))
    except FileExistsError:
        return f"kept {file}"
    return f"wrote {file}, with which editors complete and explain keys"


def _extend_gitignore(base: Path) -> str:
    file = base / ".gitignore"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    have = {line.strip() for line in text.splitlines()}
    missing = [line for line in _IGNORED if line not in have]
    if not missing:
        return f"kept {file}"
    with file.open("a", encoding="utf-8") as stream:
        stream.write(("" if not text or text.endswith("\n") else "\n") + "".join(f"{line}\n" for line in missing))
    return f"added to {file}: {', '.join(missing)}"


def _name(directory: str) -> str:
    """Return the name of a flow in a directory, as YAML."""
    name = re.sub(r"[^\w .-]", "-", directory)[:100].strip() or "flow"
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else f'"{name}"'
