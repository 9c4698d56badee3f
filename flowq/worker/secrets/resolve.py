"""Resolution of a job's `secrets`: references become values where the job runs, again for each attempt (`command` has those of commands).

The values go into a `ExecutionSecrets` and from there over a pipe into the environment of one horse. They are never part of a task, an argument
vector, a file or a record of the store.
"""

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from flowq.exceptions import FlowqError

if TYPE_CHECKING:
    from flowq.plan import Json

MAX_BYTES: Final = 64 * 1024  # of one secret; the system takes 128 KiB for a variable

References: TypeAlias = "Mapping[str, Mapping[str, Json]]"
"""As in `flowq.plan.Node.secrets`."""


class SecretError(FlowqError):
    """A secret that is not available; the text says which, where flowq looked for it, and what to do."""


def resolve(references: References) -> dict[str, str]:
    """Return the values of variables and files, by the names of the variables that get them. `commands_of` has the others.

    Raises:
        SecretError: a variable or file is not there, empty, or cannot be a variable.
    """
    return {name: _value(name, reference) for name, reference in references.items() if "command" not in reference}


def commands_of(references: References) -> dict[str, Sequence[str]]:
    """Return the commands that give secrets, by the names of the variables that get them."""
    return {name: reference["command"] for name, reference in references.items() if "command" in reference}


def problem_of(name: str, reference: "Mapping[str, Json]") -> str | None:
    """Return why a secret is not available in this process, None if it is. Of a command only the program is looked for."""
    if "command" in reference:
        return _program_problem(name, reference["command"][0])
    try:
        _value(name, reference)
    except SecretError as error:
        return str(error)
    return None


def _program_problem(name: str, program: str) -> str | None:
    if os.sep in program or shutil.which(program) is not None:  # a path is relative to the flow file
        return None
    return f"secret {name}: there is no program {program} on the PATH; install it, or name it with its path"


def _value(name: str, reference: "Mapping[str, Json]") -> str:
    if "env" in reference:
        place, value = f"the variable {reference['env']}", os.environ.get(reference["env"])
        if value is None:
            raise SecretError(f"secret {name}: {place} is not set; export it before the worker (or `flowq run`) starts")
    else:
        place = reference["file"]
        value = _read(name, place)
    problem = problem_of_value(value)
    if problem:
        raise SecretError(f"secret {name}: {place} {problem}")
    return value


def problem_of_value(value: str, source: str = "read the file") -> str:
    """Return why a value can be no secret, as the end of a sentence; "" if it can. `source`: what a job does that gets a long one itself."""
    if not value:
        return "is empty"
    if "\0" in value:
        return "has a NUL character in it, which no variable can hold: encode it, with base64 for one"
    if len(os.fsencode(value)) > MAX_BYTES:
        return f"has more than {MAX_BYTES:,} bytes: let the job {source} itself"
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
