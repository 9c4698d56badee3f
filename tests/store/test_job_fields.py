"""All fields of a job's hash are declared, and all declared fields are used."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowq import Callback, Group, Queue, RateLimit, Webhook
from flowq.compiler import compile_text
from flowq.flows.actions import submit
from flowq.flows.actions.selection import select
from flowq.jobs.options import JobOptions
from flowq.plan import Selection
from flowq.store import Store
from flowq.store.client import scripts
from flowq.store.schema.job_fields import FIELDS, PREFIXES, field_of
from flowq.store.schema.new_jobs import NewJob

NAMES = sorted(scripts._names())
TRANSIENT = {"id", "popped", "unstored", "unwritten"}  # attributes of a loaded job, not stored
COMMAND = re.compile(r"call\('(H\w+)', (K\.job\((?:[^()]|\([^()]*\))*\)|key)(?:, ([^\n]*))?")
OBJECT = r"\b(?:job|parent|child|group|old)"
EXTRA = re.compile(
    r"(?:(?<!K\.)\b(?:set_status|schedule|stay|end_job|write)\(|(?:extra|first|fields|changed) =)[^{\n]*\{ ('[^{}]*)\}"
)
APPENDED = re.compile(r"(?:extra|fields)\[[^\]]*\] = (?:result_ttl, )?(?:job\.kind == 'foreach' and '([\w:]+)' or )?'([\w:]+)'")


def functions(name: str) -> Iterator[str]:
    """Yield the functions of a Lua file without their comments."""
    text = re.sub(r"--[^\n]*", "", scripts._text(name))
    yield from re.split(r"^(?=local function|function)", text, flags=re.MULTILINE)


def commands(name: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a Lua file on hashes of jobs, with the rest of the line after the key."""
    for function in functions(name):
        for command, key, rest in COMMAND.findall(function):
            if key != "key" or "key = K.job(" in function:
                yield command, rest or ""


def split(arguments: str) -> list[str]:
    """Split the arguments of a call at the top level."""
    found, depth, text = [], 0, ""
    for character in arguments:
        depth += (character in "({[") - (character in ")}]")
        if depth < 0:
            break
        if character == "," and not depth:
            found.append(text.strip())
            text = ""
        else:
            text += character
    return [*found, text.strip()]


def literals(arguments: list[str]) -> set[str]:
    return {match[1] for item in arguments if (match := re.match(r"'([\w:]+)'", item))}


def written(name: str) -> set[str]:
    """Return the fields that a Lua file writes, by name."""
    found: set[str] = set()
    for command, rest in commands(name):
        if command in {"HSET", "HINCRBY", "HSETNX"}:
            arguments = split(rest)
            found |= literals(arguments[::2] if command == "HSET" else arguments[:1])
    text = "".join(function for function in functions(name) if "K.webhook(" not in function)
    for table in EXTRA.findall(text):
        found |= literals(split(table)[::2])
    return (found | {field for fields in APPENDED.findall(text) for field in fields}) - {""}


def read(name: str) -> set[str]:
    """Return the fields that a Lua file names in any other way."""
    text = "".join(functions(name))
    found = set(re.findall(rf"{OBJECT}\.(\w+)", text)) | set(re.findall(rf"{OBJECT}\['([\w:]+)'", text))
    for command, rest in commands(name):
        if command in {"HGET", "HMGET", "HDEL"}:
            found |= literals(split(rest))
    return found - TRANSIENT


def families(names: set[str]) -> set[str]:
    """Return the names with those of a family in one: its prefix."""
    return {next((prefix for prefix in PREFIXES if name.startswith(prefix)), name) for name in names}


def declared(writer: str) -> set[str]:
    """Return the fields that are declared as written by this one."""
    return {field for field, it in {**FIELDS, **PREFIXES}.items() if writer in it.written_by.split()}


@pytest.mark.parametrize("name", NAMES)
def test_a_lua_file_names_declared_fields_only(name: str) -> None:
    assert {field for field in written(name) | read(name) if field_of(field) is None} == set()


@pytest.mark.parametrize("name", NAMES)
def test_writers_of_fields_are_declared(name: str) -> None:
    assert families(written(name)) == declared(name)


def test_writers_exist() -> None:
    writers = {writer for it in {**FIELDS, **PREFIXES}.values() for writer in it.written_by.split()}
    assert writers <= {"client", "submit", *NAMES}


# -- who writes in Python ------------------------------------------------------------------------------------------------------

OPTIONS: dict[str, Any] = {  # every option of a plain job
    **dict.fromkeys(("job_timeout", "result_ttl", "ttl", "failure_ttl", "retry", "repeat"), 5),
    **dict.fromkeys(("on_success", "on_failure", "on_stopped"), Callback("a.b")),
    **dict.fromkeys(("at_front", "unique"), True),
    **dict.fromkeys(("job_id", "description"), "a"),
    "meta": {"a": 1},
    "depends_on": ["parent"],
    "rate_limit": RateLimit("k", concurrency=1),
    "webhooks": [Webhook("http://a.invalid", "finished")],
}
FLOW = """
fail_fast: true
retention: 7d
jobs:
  list: {call: 'os:listdir'}
  left-out: {run: 'true'}
  plain: {depends_on: [list], run: 'true', allow_failure: true, result_ttl: 1d, failure_ttl: 2d, ttl: 1h, delay: 1s, priority: 2, at_front: true}
  again: {run: 'true', if: "params.a == 1", retry: {max: 2, 'on': [timeout]}, concurrency: {group: g}}
  cells: {matrix: {n: [1, 2]}, run: 'true', fail_fast: true, max_parallel: 1, concurrency: {group: "g-${{ params.a }}-${{ matrix.n }}"}}
  each: {depends_on: [list], foreach: "${{ jobs.list.result }}", run: 'echo ${{ item }}', fail_fast: true, concurrency: {group: "g-${{ item }}"}}
  ask: {approval: {message: "go on?", timeout: 1h}}
  joined: {depends_on: [plain, ask]}
  part: {flow: part.yaml}
params: {a: {type: integer, default: 1}}
on_exit: {clean: {run: 'true'}}
"""


def test_what_clients_write_is_declared(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    arguments = NewJob.arguments

    def spy(new: NewJob) -> list[str | bytes]:
        flat = arguments(new)
        seen.update(str(name) for name in flat[flat.index("call") :: 2])
        return flat

    monkeypatch.setattr(NewJob, "arguments", spy)
    queue = Queue("q", store, serializer="json")
    queue.enqueue("time.time", job_id="parent")
    queue.enqueue("time.time", **{name: value for name, value in OPTIONS.items() if name != "unique"})
    unique = {name: value for name, value in OPTIONS.items() if name not in {"depends_on", "rate_limit"}}
    queue.enqueue("time.time", **unique | {"job_id": "b"})
    Group.create(store, "g").enqueue_many(queue, [Queue.prepare_data("time.time")])
    Queue("q", store, is_async=False).enqueue("time.time")
    assert seen == declared("client")
    every = {option.name for option in dataclasses.fields(JobOptions) if option.init}
    given = {{"job_id": "id", "job_timeout": "timeout"}.get(name, name) for name in OPTIONS}
    assert every == given | {"group_id", "coming"}, "an option that is new is to be tried here"


def test_what_a_submission_writes_is_declared(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("jobs: {a: {run: 'true'}}")
    compiled = compile_text(FLOW, file=str(tmp_path / "flow.yaml"))
    assert compiled.plan is not None, compiled.diagnostics
    plan = select(compiled.plan, Selection(jobs=("list", "plain", "again", "cells", "each", "ask", "joined", "part")))
    seen = {name for job in submit.staged_jobs(plan, "r", ranks=[1] * len(plan.cells)) for name in job.fields}
    assert families(seen) == declared("submit")
    cells = {name.removeprefix("cell:") for name in seen if name.startswith("cell:")}
    assert cells <= declared("submit")


def test_what_the_submission_names_is_declared() -> None:
    """Also where no flow above comes to it."""
    writers = (submit._fields, submit._limits, submit._policies, submit._kept)
    named = {name for writer in writers for name in keys_of(inspect.getsource(writer))}
    assert named <= declared("submit")


def keys_of(source: str) -> Iterator[str]:
    """Yield the constant keys that a function gives to its dicts, directly or from the first items of a tuple of tuples."""
    for item in ast.walk(ast.parse(source)):
        match item:
            case ast.Subscript(slice=ast.Constant(value=str(name)), ctx=ast.Store()):
                yield name
            case ast.Dict(keys=keys):
                yield from texts(keys)
            case ast.For(iter=ast.Tuple(elts=rows)):
                yield from texts([row.elts[0] for row in rows if isinstance(row, ast.Tuple)])


def texts(nodes: Sequence[ast.expr | None]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
