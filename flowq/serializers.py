"""Serializers: how the arguments, return values and `meta` of plain jobs become bytes.

A serializer is anything with `dumps(object) -> bytes` and `loads(bytes) -> object`. A job remembers the dotted name of the one it
was made with, so every worker and every `Job.fetch` can read it; a worker that was given a serializer of its own reads nothing else.
"""

import json
import pickle
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

from flowq.exceptions import SerializerError, UsageError


@runtime_checkable
class Serializer(Protocol):
    """The interface of a serializer."""

    def dumps(self, obj: Any, /) -> bytes:
        """Return the object as bytes."""
        ...

    def loads(self, data: bytes, /) -> Any:
        """Return the object that the bytes encode."""
        ...


class PickleSerializer:
    """Python's pickle, protocol 5: any Python object; write access to the server is enough to run code in the workers."""

    dumps: ClassVar[Any] = partial(pickle.dumps, protocol=5)
    loads: ClassVar[Any] = staticmethod(pickle.loads)


DefaultSerializer = PickleSerializer


class JSONSerializer:
    """JSON in UTF-8: numbers, text, lists and maps with text keys; tuples come back as lists."""

    @staticmethod
    def dumps(obj: Any) -> bytes:
        """Return compact JSON."""
        return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()

    @staticmethod
    def loads(s: bytes) -> Any:
        """Return the value of the JSON text."""
        return json.loads(s)


_NAMES: Final[Mapping[str, Any]] = {"pickle": PickleSerializer, "json": JSONSerializer}


def resolve_serializer(serializer: Any = None) -> Any:
    """Return a serializer.

    Args:
        serializer: one, `"pickle"`, `"json"`, a dotted name, or None for the default.

    Raises:
        UsageError: there is no such thing; as a `SerializerError`, it lacks `dumps` or `loads`.
    """
    if serializer is None or serializer is DefaultSerializer:
        return DefaultSerializer
    found = _NAMES.get(serializer) or _import(serializer) if isinstance(serializer, str) else serializer
    if not callable(getattr(found, "dumps", None)) or not callable(getattr(found, "loads", None)):
        raise SerializerError(f"a serializer needs the functions dumps and loads, found {serializer!r}")
    return found


def serializer_name(serializer: Any) -> str:
    """Return the name under which a worker finds a serializer again; empty for the default.

    Raises:
        UsageError: an object that cannot be imported by a name.
    """
    if serializer is DefaultSerializer:
        return ""
    module = getattr(serializer, "__module__", None)
    name = getattr(serializer, "__qualname__", None)
    if module is None and name is None:  # a module
        return str(serializer.__name__)
    if name is None or "<" in name:
        raise UsageError(f"a serializer must be a class or module that workers can import, found {serializer!r}")
    return f"{module}.{name}"


def _import(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute) if module else import_module(name)
    except (ImportError, AttributeError) as error:
        try:
            return import_module(name)
        except ImportError:
            raise UsageError(f"there is no serializer {name!r}: {error}") from error
