"""Which modules a task imports, as far as that can be told without importing or decoding anything of the user's."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import Task

# A plain job's payload is the pickle of `(name, args, kwargs)`: behind protocol and frame comes the name, a short text. Looking at it
# is safe where unpickling is not; anything that looks otherwise is simply not kept warm.
_NAME_FIRST: Final = re.compile(rb"\x80[\x04\x05](?:\x95.{8})?\x8c(?P<size>.)", re.DOTALL)
_DOTTED: Final = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\.[A-Za-z_]\w*\Z")


def imports_of(task: "Task") -> tuple[str, ...]:
    """Return the modules that a horse has to import for this task: the user's, and flowq's own that not every job needs.

    Not `pickle`, which the fork servers of plain jobs import when they start. A method's name ends in class and method; the class is
    then taken for a module, which a probe finds out to be none: such jobs import for themselves.
    """
    own = ("flowq.worker.horse.cache.decide",) if "cache" in task else ()
    if task["kind"] in {"shell", "argv"}:
        return own
    if task["kind"] == "call":
        return (*own, task["module"])
    if task["kind"] != "pickle" or task.get("serializer"):
        return ()
    module = _module_in(task["payload"])
    return () if module is None else (module,)


def _module_in(payload: bytes) -> str | None:
    start = _NAME_FIRST.match(payload)
    return None if start is None else _module_of(payload[start.end() : start.end() + start["size"][0]])


@lru_cache(maxsize=64)
def _module_of(name: bytes) -> str | None:
    found = _DOTTED.match(name.decode("utf-8", "replace"))
    return None if found is None or found["module"] == "__main__" else found["module"]
