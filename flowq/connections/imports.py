"""What redis-py imports beside itself: a third of the time of its import is for what flowq never asks it for."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final

_CLIENT: Final = "redis"
_ASYNC: Final = "redis.asyncio"
_METRICS: Final = ("opentelemetry.metrics", "opentelemetry.sdk.metrics")


def import_less() -> None:
    """Let redis-py, if nothing has imported it yet, be imported without OpenTelemetry's metrics and without its client for asyncio.

    It is for processes of flowq's own, which use neither. For all others nothing changes: OpenTelemetry is hidden only while redis-py is
    imported, and `redis.asyncio` is imported when something asks for it.
    """
    if _CLIENT not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds redis-py, once; everything else is left to the finders behind it."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _CLIENT:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        try:
            self._without_extras(module)
        except ImportError:  # a version that needs them
            super().exec_module(module)

    def _without_extras(self, module: ModuleType) -> None:
        hidden = [name for name in _METRICS if name not in sys.modules]
        stand_in = ModuleType(_ASYNC)
        stand_in.__path__ = [f"{path}/asyncio" for path in module.__path__]
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import of it fails
        sys.modules[_ASYNC] = stand_in
        try:
            super().exec_module(module)
        finally:
            for name in [*hidden, *(name for name in sys.modules if f"{name}.".startswith(f"{_ASYNC}."))]:
                del sys.modules[name]
            vars(module).pop("asyncio", None)
        module.__getattr__ = _get_later  # type: ignore[method-assign]


def _get_later(name: str) -> Any:
    """Import `redis.asyncio` for those who find it as an attribute of `redis`."""
    if name == "asyncio":
        return import_module(_ASYNC)
    raise AttributeError(f"module {_CLIENT!r} has no attribute {name!r}")
