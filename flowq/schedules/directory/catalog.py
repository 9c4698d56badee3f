"""The catalog: the flows of a directory, compiled again when a file that they are made of changes.

A file is compiled once it has not changed for a second, so that none is compiled half-written. A file that does not compile keeps its
place with its diagnostics, and harms no other. A directory that cannot be read, or is empty all of a sudden, was unmounted rather than
cleared: the catalog keeps what it had, and says that it is stale.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from flowq.compiler import Code, Compilation, compile_file
from flowq.compiler.outline import read_outline
from flowq.exceptions import FlowqError, UsageError
from flowq.schedules.directory.names import catalog_name
from flowq.schedules.directory.walk import FileMark, Walk, mark_of

_SETTLED: Final = 1.0  # s without a change after which a file counts as written
_PAUSE: Final = 2.0  # s between two looks
_NOT_COMPILED: Final = Compilation(None, ())

_Signature: TypeAlias = tuple[FileMark | None, ...]
"""The marks of a flow file and of the other files that it is made of; None for one that is not there."""


class FlowChangedError(FlowqError):
    """A file of a flow was written while it was compiled, or has not been looked at since it was: the next look tells."""


@dataclass(frozen=True, slots=True)
class CatalogFlow:
    """A flow of a catalog.

    Attributes:
        name: its path, relative to the directory, without the ending.
        path: its absolute path.
        compilation: of its content, without values for its params; empty if it was refused for its name.
        problem: why its name is refused, or "".
        settled: whether its files are as they were compiled; False for a moment after they were written.
    """

    name: str
    path: str
    compilation: Compilation
    problem: str = ""
    settled: bool = True
    files: tuple[str, ...] = ()
    signature: _Signature = ()

    @property
    def valid(self) -> bool:
        """Whether runs of it can be made, once its params have values."""
        errors = [item for item in self.compilation.diagnostics if item.severity == "error"]
        return not self.problem and all(item.code == Code.MISSING_PARAM for item in errors)

    def compile(self, **more: Any) -> Compilation:
        """Compile it for a run.

        Args:
            **more: as of `compile_file`.

        Raises:
            FlowChangedError: its files are not those that the catalog knows.
        """
        compiled = compile_file(self.path, date=datetime.now(UTC), **more)
        if self._is_changed():
            raise FlowChangedError(
                f"{self.path} has changed since the scheduler looked at it: nothing starts until it looks again (SIGHUP)"
            )
        return compiled

    def _is_changed(self) -> bool:
        return not self.settled or tuple(mark_of(file) for file in self.files) != self.signature


class Catalog:
    """The flows of a directory.

    Args:
        root: the directory. A link to it is followed at each look.
        name: of the catalog, the first part of the ids of its schedules; by default the directory's name.
        polls: it is to be looked at every two seconds; else at the beginning, and when a user asks for it.

    Attributes:
        flows: the flows by name, after the first `look`.
        stale: the directory cannot be read; the flows are those of the last look that could.
        waiting: a file was written a moment ago, and is compiled by a later look.
        problem: why, or "".

    Raises:
        UsageError: the directory's name cannot be that of a catalog, and none is given.
    """

    def __init__(self, root: str | os.PathLike[str], name: str | None = None, *, polls: bool = True) -> None:
        self.root = os.path.abspath(root)  # noqa: PTH100 - not resolve(): a link is followed at each look
        self.name = catalog_name(self.root, name)
        self.flows: Mapping[str, CatalogFlow] = MappingProxyType({})
        self.stale = self.waiting = False
        self.problem = ""
        self._polls = polls
        self._walk = Walk(self.root)
        self._files: dict[str, _File] = {}

    @property
    def pause(self) -> float:
        """Seconds until the next look. What could not be read or compiled yet is looked at in any case."""
        if self.waiting:
            return _SETTLED
        return _PAUSE if self._polls or self.stale else math.inf

    def look(self) -> None:
        """Look for changes. It never raises: what is wrong with the directory is in `problem`."""
        try:
            self._walk.look()
        except OSError as error:
            return self._keep(f"{self.root} cannot be read: {error.strerror}")
        except UsageError as error:
            return self._keep(str(error))
        if self._walk.empty and self._files:
            return self._keep(f"{self.root} is empty: is it unmounted?")
        self.stale, self.problem = False, ""
        for path in [path for path in self._files if path not in self._walk.files and self._walk.knows(path)]:
            del self._files[path]
        marks = cache(mark_of)  # flows share files
        for path, mark in self._walk.files.items():
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = _File(f"{self.root}/{path}")
            file.look(mark, marks)
        self.waiting = any(file.waiting for file in self._files.values())
        self.flows = MappingProxyType(self._named())
        return None

    def _keep(self, problem: str) -> None:
        self.stale, self.problem = True, problem

    def _named(self) -> dict[str, CatalogFlow]:
        flows: dict[str, CatalogFlow] = {}
        for path, file in sorted(self._files.items()):
            if file.compilation is None:
                continue
            name = path.rpartition(".")[0]
            problem = _name_problem(name)
            if name in flows:
                other = os.path.relpath(flows[name].path, self.root)
                problem = f"{other} and {path} have one name: rename one of them"
            flows[name] = replace(file.flow(name), compilation=_NOT_COMPILED, problem=problem) if problem else file.flow(name)
        return flows


@dataclass(slots=True)
class _File:
    """A file of the directory. `compilation` is None while it is no flow, or has not been compiled yet."""

    path: str
    compilation: Compilation | None = None
    _others: tuple[str, ...] = ()  # that it was made of
    _known: _Signature = ()  # of what was compiled
    _digest: bytes = b""  # of the same
    _seen: _Signature = ()  # at the last look
    _since: float = field(default=0.0)  # monotonic time at which that was seen first

    def look(self, mark: FileMark, marks: Callable[[str], FileMark | None]) -> None:
        """Compile it if it has changed and is written."""
        signature = (mark, *map(marks, self._others))
        if signature != self._seen:
            self._seen, self._since = signature, time.monotonic()
        if signature != self._known and self._is_settled(signature):
            self._compile(mark)

    @property
    def waiting(self) -> bool:
        """Whether what was seen last is still to be compiled."""
        return self._seen != self._known

    def flow(self, name: str) -> CatalogFlow:
        """Return it as a flow."""
        assert self.compilation is not None
        files = (self.path, *self._others)
        return CatalogFlow(name, self.path, self.compilation, "", self._seen == self._known, files, self._known)

    def _is_settled(self, signature: _Signature) -> bool:
        return time.monotonic() - self._since >= _SETTLED or _is_quiet(signature)

    def _compile(self, mark: FileMark) -> None:
        digest = _digest((self.path, *self._others))
        if digest != self._digest:
            # What was a flow stays one, with diagnostics: an emptied file is a mistake.
            is_flow = self.compilation is not None or read_outline(self.path) is not None
            self.compilation = compile_file(self.path, date=datetime.now(UTC)) if is_flow else None
            self._others = () if self.compilation is None else self.compilation.files
            digest = _digest((self.path, *self._others))
        signature = (mark_of(self.path), *map(mark_of, self._others))
        if signature[0] == mark and _is_quiet(signature[1:]):
            self._known = self._seen = signature
            self._digest = digest
        else:  # written in the meantime: a later look compiles it again
            self._known, self._digest = (), b""
            self._seen, self._since = signature, time.monotonic()


def _is_quiet(signature: _Signature) -> bool:
    now = time.time_ns()
    return all(abs(now - mark.modified) >= _SETTLED * 1e9 for mark in signature if mark is not None)


def _digest(paths: tuple[str, ...]) -> bytes:
    whole = hashlib.sha256()
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            content = str(error).encode("utf-8", "replace")
        whole.update(hashlib.sha256(content).digest())
    return whole.digest()


def _name_problem(name: str) -> str:
    if ":" in name or not name.isprintable():
        return f"the name {name!a} has characters that the name of a flow here cannot have: rename the file"
    return ""
