"""Params as a flow declares them, for forms: frozen data, without the places in the file but the line."""

from dataclasses import dataclass

from flowq.plan.records import Json


@dataclass(frozen=True, slots=True)
class Param:
    """A declared param.

    Attributes:
        name: of the param.
        type: of `string`, `number`, `integer`, `boolean`, `date`, `datetime`, `duration`, `list`, `map`.
        required: a run needs a value.
        has_default: a run without a value has one.
        default: that value; with expressions it is their text.
        computed: whether it has expressions.
        enum: the legal values; empty: all of the type.
        minimum: the least one.
        maximum: the greatest one.
        pattern: what texts match.
        description: in the author's words.
        line: in the flow file.
    """

    name: str
    type: str
    required: bool
    has_default: bool = False
    default: Json = None
    computed: bool = False
    enum: tuple[Json, ...] = ()
    minimum: Json = None
    maximum: Json = None
    pattern: str = ""
    description: str = ""
    line: int = 0

    def to_json(self) -> dict[str, Json]:
        """Return it for programs. Keys are only ever added."""
        return {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "optional": not self.required and not self.has_default,
            "has_default": self.has_default,
            "default": self.default,
            "computed": self.computed,
            "enum": list(self.enum) or None,
            "min": self.minimum,
            "max": self.maximum,
            "pattern": self.pattern or None,
            "description": self.description,
            "line": self.line,
        }
