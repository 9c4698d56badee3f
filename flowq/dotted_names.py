"""Dotted names of functions, under which workers find them."""

import builtins
from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import ismethod
from typing import Any

from flowq.exceptions import UsageError
from flowq.ids import checked_name


def reference(func: Callable[..., Any] | str) -> str:
    """Return the dotted name under which a worker finds a function.

    Raises:
        UsageError: a worker could not import it: a lambda, a nested function, one of `__main__`, an impossible name.
    """
    if isinstance(func, str):
        return checked_name(func, "the name of a function")
    if ismethod(func) and isinstance(func.__self__, type):  # a class method
        return f"{reference(func.__self__)}.{func.__name__}"
    module = getattr(func, "__module__", None)
    name = getattr(func, "__qualname__", None)
    if module is None or name is None or "<" in name:
        raise UsageError(
            f"{func!r} cannot be enqueued: a worker must be able to import it, so it has to be a named function of a module"
        )
    if module == "__main__":
        raise UsageError(f"{name} is defined in __main__, which workers cannot import: move it into a module")
    return f"{module}.{name}"


def bound_to(func: Callable[..., Any] | str) -> tuple[Any, str] | None:
    """Return the object and the method's name if a method is called (or a callable object), else None."""
    if isinstance(func, partial):
        reference(func.func)  # a worker must be able to import it
        return func, "__call__"
    if isinstance(func, (str, type)):
        return None
    if ismethod(func):
        return None if isinstance(func.__self__, type) else (func.__self__, func.__name__)
    if getattr(func, "__qualname__", None) is None and callable(func):
        return func, "__call__"
    return None


def resolve(name: str) -> Any:
    """Return the object of a dotted name: the longest prefix that can be imported is the module.

    Raises:
        ImportError: there is no such thing.
    """
    parts = name.split(".")
    if len(parts) == 1 and hasattr(builtins, name):
        return getattr(builtins, name)
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError as error:
            # Only "this prefix is no module" may be tried further; a missing import inside the user's module is his error.
            if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
                raise
            continue
        try:
            for part in parts[cut:]:
                found = getattr(found, part)
        except AttributeError as error:
            raise ImportError(f"module {module!r} has no {'.'.join(parts[cut:])!r}") from error
        return found
    raise ImportError(f"there is no module to find {name!r} in")


def load_class(value: Any, base: type) -> type:
    """Return a class that was given as it is or by its dotted name; `base` for None.

    Raises:
        UsageError: there is none, or it does not derive from `base`.
    """
    if value is None:
        return base
    try:
        found = resolve(value) if isinstance(value, str) else value
    except ImportError as error:
        raise UsageError(f"there is no class {value!r}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise UsageError(f"expected a subclass of {base.__module__}.{base.__qualname__}, found {value!r}")
    return found
