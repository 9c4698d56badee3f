"""`Call`: the function and arguments of a plain job, and their stored form."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from inspect import isfunction
from reprlib import Repr
from typing import Any, Final

from flowq.dotted_names import bound_to, reference, resolve
from flowq.exceptions import DeserializationError, UsageError
from flowq.plan.bulk import record

_LONGEST: Final = 1000  # characters of a call as text
_LONGEST_ARGUMENT: Final = 60
_REPR: Final = Repr()  # stops early: a list of a million numbers must not be written out for 60 characters of it
_REPR.maxtuple = _REPR.maxlist = _REPR.maxset = _REPR.maxfrozenset = _REPR.maxdeque = _REPR.maxarray = _REPR.maxdict = 30
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 200


@record
class Call:
    """A function by its name, its arguments, and for a method the object it is called on.

    Stored as the serialized sequence `(name, args, kwargs)`, of a method `(name of the method, args, kwargs, object)`.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    instance: Any = None

    @classmethod
    def of(cls, func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Call":
        """Make a call of the user's function and arguments.

        Raises:
            UsageError: a worker could not import it. A function inside a function is accepted, as in RQ: its job fails.
        """
        if isfunction(func) and "<locals>" in func.__qualname__ and "<lambda>" not in func.__qualname__:
            return cls(f"{func.__module__}.{func.__qualname__}", args, dict(kwargs))  # as in RQ: no worker finds it
        bound = bound_to(func)
        if bound is None:
            return cls(reference(func), args, dict(kwargs))
        instance, name = bound
        reference(type(instance))  # its class must be importable, or the worker cannot restore it
        return cls(name, args, dict(kwargs), instance)

    @classmethod
    def restored(cls, data: bytes, serializer: Any, job_id: str) -> "Call":
        """Read a call.

        Raises:
            DeserializationError: it cannot be decoded here.
        """
        try:
            name, args, kwargs, *instance = serializer.loads(data)
            return cls(name, tuple(args), dict(kwargs), instance[0] if instance else None)
        except Exception as error:
            raise DeserializationError(f"the arguments of job {job_id} cannot be decoded here: {error}") from error

    def stored(self, serializer: Any) -> bytes:
        """Return it as bytes.

        Raises:
            UsageError: an argument cannot be serialized.
        """
        parts = (self.name, self.args, dict(self.kwargs))
        try:
            data = serializer.dumps(parts if self.instance is None else (*parts, self.instance))
        except Exception as error:  # a user's __reduce__ may raise anything
            how = getattr(serializer, "__name__", "").lower()
            verb = "pickled" if "pickle" in how or "default" in how else "serialized"
            raise UsageError(f"the arguments of {self.name} cannot be {verb}: {error}") from error
        return data.encode() if isinstance(data, str) else bytes(data)

    def function(self) -> Callable[..., Any]:
        """Return the callable.

        Raises:
            ImportError: it cannot be found here.
        """
        found: Callable[..., Any] = resolve(self.name) if self.instance is None else getattr(self.instance, self.name)
        return found

    def __str__(self) -> str:
        if not (self.args or self.kwargs):
            return f"{self.name}()"
        shown: list[str] = []
        left = _LONGEST
        for text in self._arguments():
            shown.append(text if left > 0 else "…")
            left -= len(text) + 2
            if left < 0:
                break
        return f"{self.name}({', '.join(shown)})"

    def _arguments(self) -> Iterator[str]:
        yield from map(_short, self.args)
        yield from (f"{key}={_short(value)}" for key, value in sorted(self.kwargs.items(), key=lambda item: str(item[0])))


def function_of(text: str) -> str:
    """Return the name of the function in the text of a call."""
    return text.partition("(")[0]


def storable(text: str) -> str:
    """Return the text with what UTF-8 cannot hold (lone surrogates) written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _short(value: Any) -> str:
    try:
        text = _REPR.repr(value)
    except Exception:  # noqa: BLE001 - a number of 5,000 digits, a user's __repr__: no reason not to execute the job
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST_ARGUMENT else text[: _LONGEST_ARGUMENT - 1] + "…"
