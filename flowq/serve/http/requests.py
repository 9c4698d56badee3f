"""Reading a request: parameters and body against the schemas of its route."""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl

from flowq.schedules.events.webhooks import parse_json
from flowq.serve.http.replies import RefusedError
from flowq.serve.http.route import Route
from flowq.serve.http.schemas import Schema

_DEEPEST: Final = 50  # levels of a body
_LONGEST: Final = 2000  # characters of a parameter
_BOOLEANS: Final = {"1": True, "true": True, "0": False, "false": False}


def read_query(route: Route, text: str) -> dict[str, Any]:
    """Return the parameters of a request, with their defaults.

    Raises:
        RefusedError: one is unknown or wrong.
    """
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError as error:
        raise RefusedError(400, "query", "the parameters are not UTF-8, or too many") from error
    for name, value in pairs:
        schema = route.query.get(name)
        if schema is None:
            known = f"known are {', '.join(route.query)}" if route.query else "there are none here"
            raise RefusedError(400, "query", f"unknown parameter {name[:100]!r}: {known}")
        if schema.get("type") == "array":
            found.setdefault(name, []).append(_parameter(name, value, schema["items"]))
        elif name in found:
            raise RefusedError(400, "query", f"{name} is given twice")
        else:
            found[name] = _parameter(name, value, schema)
    return {name: schema["default"] for name, schema in route.query.items() if "default" in schema} | found


def _parameter(name: str, text: str, schema: Schema) -> Any:
    if len(text) > schema.get("maxLength", _LONGEST) or "\0" in text:
        raise RefusedError(400, "query", f"{name} is too long, or has NUL characters")
    if "pattern" in schema and not _fits(schema["pattern"], text):
        raise RefusedError(400, "query", f"{name} is wrong: found {text[:50]!r}")
    match schema.get("type"):
        case "integer":
            least, most = schema["minimum"], schema["maximum"]
            if not (text.isascii() and text.lstrip("-").isdigit() and len(text) < 20 and least <= int(text) <= most):
                raise RefusedError(400, "query", f"{name} must be an integer from {least} to {most}, found {text[:50]!r}")
            return int(text)
        case "boolean":
            if text not in _BOOLEANS:
                raise RefusedError(400, "query", f"{name} must be true or false, found {text[:50]!r}")
            return _BOOLEANS[text]
    if "enum" in schema and text not in schema["enum"]:
        raise RefusedError(400, "query", f"{name} must be one of {', '.join(schema['enum'])}, found {text[:50]!r}")
    return text


def _fits(pattern: str, text: str) -> bool:
    """Return whether a text fits a pattern of a schema, in which only ASCII digits are digits and `$` is not before a line break."""
    return re.search(re.sub(r"\$$", r"\\Z", pattern), text, re.ASCII) is not None


def read_body(route: Route, raw: bytes, content_type: str) -> Any:
    """Return the body of a request; None if its route has none.

    Raises:
        RefusedError: it is none, or not what the route takes.
    """
    if route.raw:
        return raw
    if route.body is None:
        return None
    if not raw and not route.body.get("required"):
        return {}
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "media_type", "the body must be JSON: Content-Type: application/json")
    document = _parsed(raw)
    error = next(iter(route.check_body.iter_errors(document)), None)
    if error is not None:
        place = ".".join(str(part) for part in error.instance_path)
        raise RefusedError(400, "body", f"{f'{place}: ' if place else ''}{error.message[:500]}")
    return document


def _parsed(raw: bytes) -> Any:
    try:
        text = raw.decode()
        if _depth(text) > _DEEPEST:
            raise RefusedError(400, "body", f"the body has more than {_DEEPEST} levels")
        document = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "body", f"the body is not JSON: {str(error)[:200]}") from error
    if "\\ud" in text.lower() and not _is_whole(document):  # the only way to write half a character
        raise RefusedError(400, "body", "a text of the body has half a character (a lone surrogate)")
    return document


def _is_whole(document: Any) -> bool:
    """Return whether all texts of a document can be encoded."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(text: str) -> int:
    """Return the levels of a JSON text, without parsing it."""
    deepest = level = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest
