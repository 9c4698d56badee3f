"""Annotations: the JSON that fits one, and the type of its values in the expression language.

An annotation that this module does not know fits everything.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from flowq.compiler.syntax.nodes import Json
from flowq.expr import types
from flowq.expr.types import Type

MAX_NESTED: Final = 20  # levels of an annotation that are read

Naming: TypeAlias = Callable[[ast.expr], str]
"""A function that returns the full name of a dotted expression in its scope: `typing.Optional`, `int`; "" if unknown."""


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of JSON. `item`: the fit of the items of a list or of the values of a map; `values`: the only ones that fit."""

    kind: str
    item: "Fit | None" = None
    values: tuple[Json, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """The JSON that fits an annotation: any of some forms."""

    forms: tuple[Form, ...]

    def __str__(self) -> str:
        return " or ".join(dict.fromkeys(_words(form) for form in self.forms))

    def or_null(self) -> "Fit":
        """Return this fit plus null, for a default of None."""
        return Fit((*self.forms, Form("null")))


_NULL: Final = Fit((Form("null"),))
_SIMPLE: Final = {
    "builtins.int": ("integer",),
    "builtins.float": ("number",),
    "builtins.str": ("string",),
    "builtins.bool": ("boolean",),
    "typing.Text": ("string",),
}
_LISTS: Final = ("builtins.list", "typing.List", "collections.abc.MutableSequence", "typing.MutableSequence")
_MAPS: Final = (
    "builtins.dict",
    *(f"{module}.{name}" for module in ("typing", "collections.abc") for name in ("Mapping", "MutableMapping")),
    "typing.Dict",
)
_SEQUENCES: Final = ("builtins.tuple", "typing.Tuple", "collections.abc.Sequence", "typing.Sequence")
_WRAPPERS: Final = ("typing.Annotated", "typing.Final", "typing.Required", "typing.NotRequired")
_NO_JSON: Final = {
    **dict.fromkeys(("builtins.set", "builtins.frozenset", "typing.Set", "typing.FrozenSet"), "a set"),
    **dict.fromkeys(("builtins.bytes", "builtins.bytearray"), "bytes"),
    **dict.fromkeys(
        (f"{module}.{name}" for module in ("typing", "collections.abc") for name in ("Iterator", "Generator")), "an iterator"
    ),
    **dict.fromkeys(("pathlib.Path", "pathlib.PurePath"), "a path"),
    "builtins.complex": "a complex number",
    "decimal.Decimal": "a decimal",
    "uuid.UUID": "a UUID",
}
_TYPES: Final = {
    "null": types.NULL,
    "boolean": types.BOOLEAN,
    "integer": types.NUMBER,
    "number": types.NUMBER,
    "string": types.STRING,
}


def fit_of(annotation: ast.expr | None, naming: Naming, depth: int = 0) -> Fit | None:
    """Return the fit of an annotation; None: everything fits."""
    if annotation is None or depth > MAX_NESTED:
        return None
    match annotation:
        case ast.Constant(value=None):
            return _NULL
        case ast.Constant(value=str(text)):
            return _quoted(text, naming, depth)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([fit_of(left, naming, depth + 1), fit_of(right, naming, depth + 1)])
        case ast.Name() | ast.Attribute():
            return _named(naming(annotation))
        case ast.Subscript(value=base, slice=argument):
            return _subscripted(_typing(naming(base)), argument, naming, depth + 1)
        case _:
            return None


def _quoted(text: str, naming: Naming, depth: int) -> Fit | None:
    try:
        return fit_of(ast.parse(text.strip(), mode="eval").body, naming, depth + 1) if len(text) < 1000 else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _typing(name: str) -> str:
    return name.replace("typing_extensions.", "typing.", 1)


def _named(name: str) -> Fit | None:
    name = _typing(name)
    if name in _SIMPLE:
        return Fit(tuple(Form(kind) for kind in _SIMPLE[name]))
    if name in _LISTS:
        return Fit((Form("list"),))
    if name in _MAPS:
        return Fit((Form("map"),))
    if name in _SEQUENCES:
        return _sequence(name, None)
    return None


def _sequence(name: str, item: Fit | None) -> Fit:
    """Return the fit of a sequence type; a string fits too, because in Python it is a sequence of strings."""
    forms = (Form("list", item),)
    return Fit(forms if name.lower().endswith("tuple") else (*forms, Form("string")))


def _subscripted(name: str, argument: ast.expr, naming: Naming, depth: int) -> Fit | None:
    parts = argument.elts if isinstance(argument, ast.Tuple) else [argument]
    if name == "typing.Literal":
        return _literal(parts)
    if name in _WRAPPERS:
        return fit_of(parts[0], naming, depth) if parts else None
    if name == "typing.Optional":
        return _union([fit_of(argument, naming, depth), _NULL])
    if name == "typing.Union":
        return _union([fit_of(part, naming, depth) for part in parts])
    if name in _LISTS and len(parts) == 1:
        return Fit((Form("list", fit_of(parts[0], naming, depth)),))
    if name in _MAPS and len(parts) == 2:
        return Fit((Form("map", fit_of(parts[1], naming, depth)),))
    if name in _SEQUENCES:
        same = len(parts) == 1 or (len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is ...)
        return _sequence(
            name, fit_of(parts[0], naming, depth) if same and len(parts) + name.lower().endswith("tuple") != 2 else None
        )
    return None


def _literal(parts: list[ast.expr]) -> Fit | None:
    forms: dict[str, tuple[Json, ...]] = {}
    for part in parts:
        if not isinstance(part, ast.Constant) or not isinstance(part.value, str | int | bool | None):
            return None  # an Enum's member, bytes
        kind = types.kind_of(part.value)
        forms[kind] = (*forms.get(kind, ()), part.value)
    return Fit(tuple(Form("integer" if kind == "number" else kind, None, values) for kind, values in forms.items()))


def _union(parts: list[Fit | None]) -> Fit | None:
    known = [part for part in parts if part is not None]
    return Fit(tuple(form for part in known for form in part.forms)) if len(known) == len(parts) and known else None


def not_json(annotation: ast.expr | None, naming: Naming) -> str:
    """Return the type of a return annotation in words, if it cannot be the result of a job; else ""."""
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    return _NO_JSON.get(_typing(naming(annotation)), "") if isinstance(annotation, ast.Name | ast.Attribute) else ""


def type_of_fit(fit: Fit | None) -> Type:
    """Return the type in expressions of a value that fits."""
    if fit is None or len(fit.forms) != 1:
        return types.ANY
    form = fit.forms[0]
    if form.kind == "list":
        return Type("list", type_of_fit(form.item))
    return _TYPES.get(form.kind, types.MAP)


def misfit(fit: Fit | None, value: Json, typed: Callable[[str], Type]) -> bool:
    """Return whether a templated value cannot fit, whatever the values of its expressions.

    Args:
        fit: the fit; None: everything fits.
        value: templated JSON, as in the plan.
        typed: returns the type of an expression.
    """
    if fit is None:
        return False
    if isinstance(value, Mapping) and len(value) == 1 and ("$" in value or "$join" in value):
        found = typed(value["$"]) if "$" in value else types.STRING
        return not any(_form_takes_type(form, found) for form in fit.forms)
    return not any(_form_takes(form, value, typed) for form in fit.forms)


def _form_takes(form: Form, value: Json, typed: Callable[[str], Type]) -> bool:
    if not _form_takes_kind(form, _kind(value)):
        return False
    if form.values is not None:
        return any(value == known and types.kind_of(value) == types.kind_of(known) for known in form.values)
    if form.item is None:
        return True
    if isinstance(value, Mapping):
        inner = value["$lit"] if "$lit" in value and len(value) == 1 else value
        return not any(misfit(form.item, part, typed) for part in inner.values())
    return not isinstance(value, list) or not any(misfit(form.item, part, typed) for part in value)


def _form_takes_type(form: Form, found: Type) -> bool:
    if found.kind == "any":
        return True
    if found.kind == "number":
        return form.kind in ("integer", "number")
    if not _form_takes_kind(form, found.kind):
        return False
    if found.kind == "list" and form.item is not None and found.item is not None:
        inner = found.item
        return any(_form_takes_type(part, inner) for part in form.item.forms)
    return True


def _form_takes_kind(form: Form, kind: str) -> bool:
    """Return whether a form takes a kind of value; as in Python, booleans are integers, and integers fit floats."""
    return kind == form.kind or kind in {"integer": ("boolean",), "number": ("integer", "boolean")}.get(form.kind, ())


def _kind(value: Json) -> str:
    kind = types.kind_of(value)
    return "integer" if kind == "number" and isinstance(value, int) else kind


_WORDS: Final = {
    "null": ("null", "null"),
    "boolean": ("a boolean", "booleans"),
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "string": ("a string", "strings"),
    "list": ("a list", "lists"),
    "map": ("a map", "maps"),
}


def _words(form: Form, *, several: bool = False) -> str:
    if form.values is not None:
        return " or ".join(_constant(value) for value in form.values)
    word = _WORDS[form.kind][several]
    return (
        f"{word} of {' or '.join(_words(inner, several=True) for inner in form.item.forms)}" if form.item is not None else word
    )


def _constant(value: Json) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
