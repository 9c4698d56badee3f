"""Signatures: the parameters and the result of a function, from its syntax tree."""

import ast
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Final

from flowq.compiler.signatures.annotations import Fit, Naming, fit_of, not_json, type_of_fit
from flowq.expr.types import ANY, Type

MAX_TEXT: Final = 160  # characters shown of a signature
MAX_SHOWN: Final = 30  # parameters shown of a signature


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter. `kind` is `positional`, `either`, `keyword`, `list` (`*args`) or `map` (`**kwargs`)."""

    name: str
    kind: str
    required: bool
    fit: Fit | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters and the result of a callable.

    Attributes:
        parameters: its parameters.
        result: the type of its result.
        text: its source form.
        place: its file and line.
        gives: its result in words, if it cannot be JSON: a job that calls it fails.
    """

    parameters: tuple[Parameter, ...]
    result: Type
    text: str
    place: str
    gives: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with a name. `kind` is `module`, `local`, `source` or `attribute`; `subject` is the part of the name."""

    kind: str
    subject: str
    message: str
    help: str = ""


def signature_of(name: str, arguments: ast.arguments, returns: ast.expr | None, place: str, naming: Naming) -> Signature:
    """Return the signature of a function.

    Args:
        name: its name.
        arguments: its parameters.
        returns: its return annotation.
        place: its file and line.
        naming: returns the full names in its annotations.
    """
    many = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs) > MAX_SHOWN
    text = f"{name}({'…' if many else ast.unparse(arguments)})"
    return Signature(
        parameters=tuple(_parameters(arguments, lambda item: fit_of(item.annotation, naming))),
        result=ANY if returns is None else type_of_fit(fit_of(returns, naming)),
        text=text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…",
        place=place,
        gives=not_json(returns, naming),
    )


def _parameters(arguments: ast.arguments, fit: Callable[[ast.arg], Fit | None]) -> list[Parameter]:
    positional = [*((item, "positional") for item in arguments.posonlyargs), *((item, "either") for item in arguments.args)]
    optional = len(positional) - len(arguments.defaults)
    found = []
    for position, (item, kind) in enumerate(positional):
        default = arguments.defaults[position - optional] if position >= optional else None
        found.append(Parameter(item.arg, kind, default is None, _with_default(fit(item), default)))
    if arguments.vararg is not None:
        found.append(Parameter(arguments.vararg.arg, "list", False, fit(arguments.vararg)))
    for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(item.arg, "keyword", default is None, _with_default(fit(item), default)))
    if arguments.kwarg is not None:
        found.append(Parameter(arguments.kwarg.arg, "map", False, fit(arguments.kwarg)))
    return found


def _with_default(fit: Fit | None, default: ast.expr | None) -> Fit | None:
    """Return the fit with null added if the default is None, as in `name: str = None`."""
    is_none = isinstance(default, ast.Constant) and default.value is None
    return fit.or_null() if fit is not None and is_none else fit


def without_first(arguments: ast.arguments) -> ast.arguments:
    """Return the parameters without the first, which Python passes: `self`, `cls`."""
    rest = copy(arguments)
    if rest.posonlyargs:
        rest.posonlyargs = rest.posonlyargs[1:]
    else:
        rest.args = rest.args[1:]
    return rest
