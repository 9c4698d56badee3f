"""Modules by name: their files and parsed source."""

import ast
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import machinery
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

from flowq.compiler.signatures.bindings import Bindings, bindings_of
from flowq.compiler.signatures.interpreters import Installed
from flowq.compiler.syntax.source import read_file

MAX_SOURCE: Final = 1024 * 1024  # bytes of one module; larger ones are data
MAX_TOTAL: Final = 8 * 1024 * 1024  # bytes of all that are parsed for one flow
_TAG: Final = sys.implementation.cache_tag or ""
_OTHER_SUFFIXES: Final = [
    suffix.replace(_TAG, f"cpython-3{minor}")
    for suffix in machinery.EXTENSION_SUFFIXES
    if _TAG in suffix
    for minor in range(11, 20)
]
_LOADERS: Final = (
    (machinery.ExtensionFileLoader, [*machinery.EXTENSION_SUFFIXES, *_OTHER_SUFFIXES]),  # also those of other interpreters
    (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
)


@dataclass(frozen=True)
class Module:
    """A module that exists.

    Attributes:
        name: its dotted name.
        file: its source file, as shown to users; "" for an extension module, an archive or a folder without `__init__.py`.
        folders: the folders of its submodules; empty if it is not a package.
        tree: its statements; None if unknown.
        error: why it cannot be parsed, or "".
    """

    name: str
    file: str = ""
    folders: tuple[str, ...] = ()
    tree: ast.Module | None = None
    error: str = ""

    @cached_property
    def bindings(self) -> Bindings:
        """The bindings of its statements."""
        return bindings_of(self.tree.body) if self.tree is not None else Bindings(dynamic=True)

    @property
    def package(self) -> str:
        """The package for its relative imports."""
        return self.name if self.folders else self.name.rpartition(".")[0]


class Modules:
    """The modules that a job can import: from the given folders, then from its interpreter."""

    def __init__(self, folders: Sequence[str], installed: Installed | None = None) -> None:
        self._installed = installed
        self._folders = tuple(dict.fromkeys(folders))
        self._found: dict[str, Module | None] = {}
        self._left = MAX_TOTAL

    def get(self, name: str) -> Module | None:
        """Return the module of that name, or None."""
        if name not in self._found:
            self._found[name] = None  # also in effect while its parents are searched
            self._found[name] = self._find(name)
        return self._found[name]

    def nearest(self, name: str) -> Module | None:
        """Return the nearest existing package above a name, or None."""
        while "." in name:
            name = name.rpartition(".")[0]
            if (module := self.get(name)) is not None:
                return module
        return None

    def is_local(self, name: str) -> bool:
        """Return whether the top package of a name is in the given folders."""
        return _among(name.partition(".")[0], self._folders) is not None

    def submodules(self, module: Module) -> list[str]:
        """Return the names of the submodules of a package, for suggestions."""
        return self._listed(module.folders)

    def beside(self) -> list[str]:
        """Return the names of the modules in the folders, for suggestions."""
        return self._listed(self._folders)

    @staticmethod
    def _listed(folders: Sequence[str]) -> list[str]:
        names: dict[str, None] = {}
        for folder in folders:
            try:
                listed = sorted(entry.name for entry in Path(folder).iterdir())
            except OSError:
                continue
            for entry in listed[:1000]:
                stem = entry.partition(".")[0]
                if stem.isidentifier() and not stem.startswith("__"):
                    names[stem] = None
        return list(names)

    def _find(self, name: str) -> Module | None:
        above, _, _ = name.rpartition(".")
        if not above:
            spec = _among(name, self._folders) or self._outside(name)
        else:
            parent = self.get(above)
            if parent is None or not parent.folders:
                return None
            spec = _among(name, parent.folders)
        return None if spec is None else self._read(name, spec)

    def _outside(self, name: str) -> ModuleSpec | None:
        """Find a top-level module of the interpreter; the standard library is taken for that of this one."""
        if self._installed is None or name in sys.stdlib_module_names:
            return _installed(name)
        return _among(name, self._installed.folders)

    def _read(self, name: str, spec: ModuleSpec) -> Module:
        folders = tuple(spec.submodule_search_locations or ())
        file = spec.origin or ""
        if not file.endswith(".py"):
            return Module(name, folders=folders)
        shown = self._shown(file)
        data, problem = read_file(file)
        self._left -= len(data)
        if problem is not None or len(data) > MAX_SOURCE or self._left < 0:
            return Module(name, shown, folders)
        try:
            return Module(name, shown, folders, _parsed(data))
        except SyntaxError as error:
            return Module(name, shown, folders, error=f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg))
        except (ValueError, RecursionError, MemoryError):
            return Module(name, shown, folders)

    def _shown(self, file: str) -> str:
        """Return a file relative to the first folder, the current one, if it is below it."""
        return file.removeprefix(f"{self._folders[0]}{os.sep}") if self._folders else file


def _parsed(data: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as for an invalid escape in a user's module
        return ast.parse(data)


def _among(name: str, folders: Sequence[str]) -> ModuleSpec | None:
    """Find a module in some folders as the import system does, but without caches."""
    portions: list[str] = []
    for folder in folders:
        try:
            spec = machinery.FileFinder(folder, *_LOADERS).find_spec(name)
        except (OSError, ValueError):
            continue
        if spec is not None and spec.loader is not None:
            return spec
        if spec is not None:  # a folder without __init__.py: a portion of a namespace package, unless a module follows
            portions += spec.submodule_search_locations or ()
    if not portions:
        return None
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = portions
    return spec


def _installed(name: str) -> ModuleSpec | None:
    """Find a top-level module of this interpreter: built in, on its path, or known to an import hook."""
    for found in _asked(name):
        if found is not None:
            return found
    return None


def _asked(name: str) -> Iterator[ModuleSpec | None]:
    for finder in list(sys.meta_path):
        try:
            yield finder.find_spec(name, None)
        except Exception:  # noqa: BLE001 - a user's hook: what it cannot find is not found
            yield None
