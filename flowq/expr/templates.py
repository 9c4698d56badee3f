"""Templates: strings with `${{ … }}`, and the JSON in which they are stored.

A *templated* value is JSON in which `{"$": "expression"}` is the value of an expression, `{"$join": [part, …]}` a string joined from
parts, and `{"$lit": {…}}` a map whose own keys look like these (its values are templated again).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.expr.errors import EvalError, ExprSyntaxError
from flowq.expr.evaluator import evaluate, to_text
from flowq.expr.functions import MAX_TEXT
from flowq.expr.nodes import Json
from flowq.expr.tokens import MAX_SOURCE

OPEN = "${{"
CLOSE = "}}"


@dataclass(frozen=True, slots=True)
class Hole:
    """One `${{ … }}` of a template: `start` and `end` enclose it, `source` is the trimmed expression and `offset` its start."""

    source: str
    offset: int
    start: int
    end: int


_UNPLAIN: Final = re.compile("""['"{}]""")  # characters that make the end of a hole ambiguous


def split_template(text: str) -> list[str | Hole]:
    """Return the constant pieces and the holes of a template, in order, without empty pieces.

    Raises:
        ExprSyntaxError: a `${{` is not closed.
    """
    parts: list[str | Hole] = []
    position = 0
    while (start := text.find(OPEN, position)) >= 0:
        if start > position:
            parts.append(text[position:start])
        inner_end = _find_close(text, start + len(OPEN))
        inner = text[start + len(OPEN) : inner_end]
        offset = start + len(OPEN) + len(inner) - len(inner.lstrip())
        position = inner_end + len(CLOSE)
        parts.append(Hole(inner.strip(), offset, start, position))
    if position < len(text):
        parts.append(text[position:])
    return parts


def _find_close(text: str, position: int) -> int:
    """Find the `}}` that closes a hole: not one inside a quoted string or at the end of two nested maps."""
    first = text.find(CLOSE, position)
    if 0 <= first <= position + 2 * MAX_SOURCE - len(CLOSE) and not _UNPLAIN.search(text, position, first):
        return first
    opening, depth, quote = position - len(OPEN), 0, ""
    limit = min(len(text), position + 2 * MAX_SOURCE)
    while position < limit:
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            if depth == 0 and text.startswith(CLOSE, position):
                return position
            depth = max(depth - 1, 0)
        position += 1
    hint = f"a string inside it is not closed: add {quote}" if quote else "add }} after the expression"
    if limit < len(text):
        hint += f"; an expression may have {MAX_SOURCE} characters, and no }}}} was found in the next {2 * MAX_SOURCE}"
    raise ExprSyntaxError("this ${{ is not closed", opening, min(len(text), opening + len(OPEN)), hint)


def join_holes(parts: Sequence[str | Hole]) -> Json:
    """Return the templated form of a split template: a single hole keeps its type, anything else is joined to a string."""
    if len(parts) == 1:
        only = parts[0]
        return {"$": only.source} if isinstance(only, Hole) else only
    return {"$join": [{"$": part.source} if isinstance(part, Hole) else part for part in parts]}


def spelled(value: Json) -> str | None:
    """Return the expression of a templated value that is a single one, else None."""
    return value["$"] if isinstance(value, Mapping) and len(value) == 1 and "$" in value else None


def written(value: str | Mapping[str, Json]) -> str:
    """Return a templated string as a flow has it: the inverse of `join_holes`."""
    if isinstance(value, str):
        return value
    parts = value.get("$join", [value])
    return "".join(part if isinstance(part, str) else f"{OPEN} {part['$']} {CLOSE}" for part in parts)


def literal(mapping: dict[str, Json]) -> dict[str, Json]:
    """Return the templated form of a map whose values are templated already."""
    return {"$lit": mapping} if any(key.startswith("$") for key in mapping) else mapping


def render(value: Json, scope: Mapping[str, Json]) -> Json:
    """Return a templated value with every expression replaced by its value.

    Args:
        value: templated JSON, as the plan holds it.
        scope: the root names of expressions.

    Raises:
        EvalError: an expression has no value, or the value is nested too deeply.
    """
    try:
        return _render(value, scope)
    except RecursionError as error:
        raise EvalError("a value is nested too deeply") from error


def _render(value: Json, scope: Mapping[str, Json]) -> Json:
    if isinstance(value, list):
        return [_render(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        if "$" in value:
            return evaluate(value["$"], scope)
        if "$join" in value:
            return _joined(value["$join"], scope)
        if "$lit" in value:
            return {key: _render(item, scope) for key, item in value["$lit"].items()}
    return {key: _render(item, scope) for key, item in value.items()}


def _joined(parts: Sequence[Json], scope: Mapping[str, Json]) -> str:
    texts: list[str] = []
    size = 0
    for part in parts:
        texts.append(part if isinstance(part, str) else to_text(_render(part, scope)))
        size += len(texts[-1]) if not isinstance(part, str) else 0  # constant parts come from the file
        if size > MAX_TEXT:
            raise EvalError(f"the expressions of a string give more than {MAX_TEXT:,} characters")
    return "".join(texts)
