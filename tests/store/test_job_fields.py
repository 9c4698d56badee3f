"""All fields of a job's hash are declared, and all declared fields are used."""

import re
from collections.abc import Iterator

import pytest

from flowq.store.client import scripts
from flowq.store.schema.job_fields import FIELDS, PREFIXES, field_of

NAMES = sorted(scripts._names())
TRANSIENT = {"id", "popped"}  # attributes of a loaded job, not stored
COMMAND = re.compile(r"call\('(H\w+)', (K\.job\((?:[^()]|\([^()]*\))*\)|key)(?:, ([^\n]*))?")
OBJECT = r"\b(?:job|parent|child|group|old)"
EXTRA = re.compile(r"(?:\b(?:set_status|schedule|stay|end_job|write)\(|(?:extra|first|fields) =)[^{\n]*\{ ('[^{}]*)\}")
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


@pytest.mark.parametrize("name", NAMES)
def test_a_lua_file_names_declared_fields_only(name: str) -> None:
    assert {field for field in written(name) | read(name) if field_of(field) is None} == set()


@pytest.mark.parametrize("name", NAMES)
def test_writers_of_fields_are_declared(name: str) -> None:
    declared = {field for field, it in {**FIELDS, **PREFIXES}.items() if name in it.written_by.split()}
    found = {next((prefix for prefix in PREFIXES if field.startswith(prefix)), field) for field in written(name)}
    assert found == declared


def test_writers_exist() -> None:
    writers = {writer for it in {**FIELDS, **PREFIXES}.values() for writer in it.written_by.split()}
    assert writers <= {"client", "submit", *NAMES}
