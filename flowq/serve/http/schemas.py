"""Parts of JSON schemas, for bodies, parameters and answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

ANY: Final[Schema] = {}
TEXT: Final[Schema] = {"type": "string"}
TIME: Final[Schema] = {"type": ["string", "null"], "description": "ISO 8601 in UTC with milliseconds"}
SECONDS: Final[Schema] = {"type": ["number", "null"], "description": "seconds"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
MAP: Final[Schema] = {"type": "object"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
PARAMS: Final[Schema] = {"type": "object", "description": "values by the names of the params"}
LABELS: Final[Schema] = {
    "type": "object",
    "maxProperties": 100,
    "propertyNames": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\x00-\\x1f\\x7f=]+$(?!\\n)"},
    "additionalProperties": {"type": "string", "maxLength": 1000},
}


def text(most: int, pattern: str | None = None) -> Schema:
    """Return the schema of a text of at most so many characters."""
    return {"type": "string", "maxLength": most} | ({} if pattern is None else {"pattern": pattern})


def one_of(*values: str) -> Schema:
    """Return the schema of a text that is one of these."""
    return {"type": "string", "enum": list(values)}


def integer(least: int, most: int, default: int | None = None) -> Schema:
    """Return the schema of an integer in a range."""
    return {"type": "integer", "minimum": least, "maximum": most} | ({} if default is None else {"default": default})


def array(items: Schema, most: int | None = None) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items} | ({} if most is None else {"maxItems": most})


def body(properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """Return the schema of a body: a map with no other keys."""
    return _map(properties, required) | {"additionalProperties": False}


def document(properties: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """Return the schema of an answer: a map with these keys; others are only ever added."""
    return _map(properties, [name for name in properties if name not in optional])


def page(items: Schema, **more: Schema) -> Schema:
    """Return the schema of a part of a list, with the cursor of the next part and what else the answer has."""
    return document({"items": array(items), "next": TEXT_OR_NULL, **more})


def _map(properties: Mapping[str, Schema], required: Sequence[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


RUN: Final = document(
    {
        "id": TEXT,
        "flow": TEXT,
        "status": TEXT,
        "orphaned": FLAG,
        "schedule": TEXT_OR_NULL,
        "scheduled_at": TIME,
        "cause": TEXT_OR_NULL,
        "by": TEXT_OR_NULL,
        "attempt": COUNT,
        "params": MAP,
        "labels": MAP,
        "created_at": TIME,
        "started_at": TIME,
        "ended_at": TIME,
        "duration": SECONDS,
        "counts": MAP,
    }
)
"""A run in a list."""

DIAGNOSTIC: Final = document(
    {"file": TEXT, "line": COUNT, "column": COUNT, "code": TEXT, "severity": TEXT, "message": TEXT, "help": TEXT}
)
DONE: Final = document({"done": FLAG})
"""The answer of a change that has nothing to show."""
