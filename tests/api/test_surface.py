"""RQ's public names and parameters: each exists here, or `docs/moving-from-rq.md` lists it as left out, with the reason."""

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from inspect import Parameter
from pathlib import Path
from typing import Any, Final

PAGE: Final = (Path(__file__).parents[2] / "docs" / "moving-from-rq.md").read_text(encoding="utf-8")
MODULES: Final = (
    *("", "callbacks", "command", "decorators", "exceptions", "executions", "job", "queue", "registry", "repeat", "results"),
    *("serializers", "suspension", "timeouts", "worker"),
)
# Differences of defaults that do not matter: None for "the package decides", or a status that is never used.
DEFAULTS: Final = {
    *("Queue(death_penalty_class)", "create_job(status)", "get_job_ids(cleanup)", "work(dequeue_strategy)"),
    *("BaseWorker(maintenance_interval)", "Worker(maintenance_interval)", "Worker(job_monitoring_interval)"),
    *("BaseDeathPenalty(exception)", "UnixSignalDeathPenalty(exception)", "TimerDeathPenalty(exception)"),
}
READ_ONLY: Final = {"Execution", "Result"}  # created by the package, never by its users
_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def left_out() -> set[str]:
    """Return the names that the page lists as left out: `Class.name` or `name`; parameters as `name=`."""
    rows = PAGE.partition("## Left out")[2].partition("\n## ")[0].splitlines()
    part = "\n".join(row.split(" | ")[0] for row in rows if row.startswith("| "))  # the names, without the reasons
    owned = re.compile(r"of `(\w+)`: ((?:`\w+`(?:, )?)+)")
    names = {f"{owner}.{name}" for owner, members in owned.findall(part) for name in re.findall(r"`(\w+)`", members)}
    return names | set(re.findall(r"`([\w.]+=?)`", owned.sub("", part)))


LEFT_OUT: Final = left_out()


def here(module: str, package: str = "flowq") -> Any:
    """Import a module of a package."""
    return importlib.import_module(f"{package}.{module}" if module else package)


def public(module: str) -> Iterator[tuple[str, Any]]:
    """Yield the public names that a module of RQ defines, or that its package exports."""
    found = here(module, "rq")
    for name in dir(found):
        value = getattr(found, name)
        home = getattr(value, "__module__", None) or ""
        if not name.startswith("_") and not inspect.ismodule(value) and home.startswith(f"rq.{module}".rstrip(".")):
            yield name, value


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the public members of a class of RQ."""
    for name in dir(kind):
        if not name.startswith("_"):
            yield name, inspect.getattr_static(kind, name)


def classes() -> dict[str, tuple[type, type]]:
    """Return the classes of both packages, RQ's and flowq's."""
    return {
        name: (value, getattr(here(module), name))
        for module in MODULES
        for name, value in public(module)
        if inspect.isclass(value) and hasattr(here(module), name) and not issubclass(value, BaseException)
    }


CLASSES: Final = classes()


def test_every_name_can_be_imported_from_the_same_module() -> None:
    missing = {name for module in MODULES for name, _ in public(module) if not hasattr(here(module), name)}
    assert missing - LEFT_OUT == set()


def test_classes_have_every_member() -> None:
    missing = set()
    for name, (theirs, ours) in CLASSES.items():
        excused = {
            item for kind in (*theirs.__mro__, *ours.__mro__) for item in LEFT_OUT if item.startswith(f"{kind.__name__}.")
        }
        known = {item.partition(".")[2] for item in excused}
        if name not in LEFT_OUT:
            missing |= {f"{name}.{member}" for member, _ in members(theirs) if not has(ours, member) and member not in known}
    assert missing == set()


def test_members_listed_as_left_out_do_not_exist() -> None:
    listed = [item.split(".") for item in LEFT_OUT if item.partition(".")[0] in CLASSES and "." in item]
    assert [f"{name}.{member}" for name, member in listed if has(CLASSES[name][1], member)] == []


def test_callables_take_the_same_arguments() -> None:
    problems = []
    for module in MODULES:
        for name, value in public(module):
            if inspect.isfunction(value) and hasattr(here(module), name):
                problems += differences(name, value, getattr(here(module), name))
    for name, (theirs, ours) in CLASSES.items():
        if name in LEFT_OUT or issubclass(theirs, (str, tuple)):
            continue
        problems += differences(name, theirs, ours) if "__init__" in vars(theirs) and name not in READ_ONLY else []
        for member, value in members(theirs):
            if not inspect.isclass(value) and callable(getattr(theirs, member)) and hasattr(ours, member):
                problems += differences(f"{name}.{member}", getattr(theirs, member), getattr(ours, member))
    assert problems == []


@cache
def source(kind: type) -> str:
    """Return the text of a class."""
    return inspect.getsource(kind)


def has(kind: type, member: str) -> bool:
    """Return whether a class, or an instance after `__init__`, has a member."""
    if hasattr(kind, member):
        return True
    sources = (source(base) for base in kind.__mro__ if base.__module__.startswith("flowq"))
    return any(re.search(rf"self\.{member}\b.* =|^    {member}:", text, re.MULTILINE) for text in sources)


def differences(name: str, theirs: Any, ours: Any) -> list[str]:
    """Return the cases in which a call that fits RQ's signature does not fit flowq's, or means something else."""
    wanted = [item for item in parameters(theirs) if f"{item.name}=" not in LEFT_OUT]
    given = {item.name: item for item in parameters(ours)}
    anything = any(item.kind is Parameter.VAR_KEYWORD for item in given.values())
    problems = [
        f"{name}({item.name}) is missing"
        for item in wanted
        if item.name not in given and not anything and item.kind in {*_POSITIONAL, Parameter.KEYWORD_ONLY}
    ]
    order = [item.name for item in parameters(theirs) if item.kind in _POSITIONAL]
    mine = [item.name for item in given.values() if item.kind in _POSITIONAL]
    if order[: len(mine)] != mine[: len(order)]:
        problems.append(f"{name}: positional arguments are {mine}, not {order}")
    for item in wanted:
        other = given.get(item.name)
        same = other is None or item.default in {Parameter.empty, other.default}
        if not same and f"{name.rpartition('.')[2]}({item.name})" not in DEFAULTS:
            problems.append(f"{name}({item.name}) is not {item.default!r} by default")
    return problems


def parameters(function: Any) -> list[Parameter]:
    return [item for item in inspect.signature(function).parameters.values() if item.name != "self"]
