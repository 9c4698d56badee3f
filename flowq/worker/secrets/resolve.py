"""Resolution of a job's `secrets`: references become values where the job runs, again for each attempt.

The values go into a `ExecutionSecrets` and from there over a pipe into the environment of one horse. They are never part of a task, an argument
vector, a file or a record of the store.
"""

import os
import stat
from collections.abc import Mapping
from typing import Final, TypeAlias

from flowq.exceptions import FlowqError

MAX_BYTES: Final = 64 * 1024  # of one secret; the system takes 128 KiB for a variable

References: TypeAlias = Mapping[str, Mapping[str, str]]
"""As in `flowq.plan.Node.secrets`."""


class SecretError(FlowqError):
    """A secret that is not available; the text says which, where flowq looked for it, and what to do."""


def resolve(references: References) -> dict[str, str]:
    """Return the values, by the names of the variables that get them.

    Raises:
        SecretError: a variable or file is not there, empty, or cannot be a variable.
    """
    return {name: _value(name, reference) for name, reference in references.items()}


def problem_of(name: str, reference: Mapping[str, str]) -> str | None:
    """Return why a secret is not available in this process, None if it is."""
    try:
        _value(name, reference)
    except SecretError as error:
        return str(error)
    return None


def _value(name: str, reference: Mapping[str, str]) -> str:
    if "env" in reference:
        place, value = f"the variable {reference['env']}", os.environ.get(reference["env"])
        if value is None:
            raise SecretError(f"secret {name}: {place} is not set; export it before the worker (or `flowq run`) starts")
    else:
        place = reference["file"]
        value = _read(name, place)
    problem = _problem(value)
    if problem:
        raise SecretError(f"secret {name}: {place} {problem}")
    return value


def _problem(value: str) -> str:
    if not value:
        return "is empty"
    if "\0" in value:
        return "has a NUL character in it, which no variable can hold: encode it, with base64 for one"
    if len(os.fsencode(value)) > MAX_BYTES:
        return f"has more than {MAX_BYTES:,} bytes: let the job read the file itself"
    return ""


def _read(name: str, path: str) -> str:
    """Return the content of a file, without the line breaks at its end."""
    try:
        # Non-blocking: opening a named pipe would otherwise wait for a writer, and all other jobs with it.
        descriptor = os.open(os.path.expanduser(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SecretError(f"secret {name}: {path} is not a regular file; name a file with the value in it")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(2 * MAX_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SecretError(
            f"secret {name}: {path} cannot be read: {error.strerror}; put the value there, readable for the worker"
        ) from error
    return os.fsdecode(data).rstrip("\r\n")
