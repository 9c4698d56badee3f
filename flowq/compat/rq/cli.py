"""`rq.cli`: the commands of `flowq`, for packages that build commands of their own on those of RQ."""

from copy import copy
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Return `main`, or a command of `flowq` by its name. The command line is a layer above this one, so it is imported by name."""
    if name.startswith("__"):
        raise AttributeError(name)
    group: Any = import_module("flowq.cli.main").cli
    if name == "main":
        return group
    command = group.get_command(None, name.replace("_", "-"))
    if command is None:
        raise AttributeError(f"module 'rq.cli' (flowq.compat) has no attribute {name!r}")
    return _exposed(command)


def _exposed(command: Any) -> Any:
    """Return a command whose options are all handed over, also those that flowq accepts and does not need.

    Such packages copy the parameters of a command by their names, and expect a value for each.
    """
    found = copy(command)
    found.params = [copy(parameter) for parameter in command.params]
    for parameter in found.params:
        parameter.expose_value = True
    return found
