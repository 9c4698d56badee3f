"""Calls that must fail because of their constant arguments, such as `format('{2}', x)`, `split(x, '')`, `date_add(x, '1 day')`.

The compiler tries such a call before the run, with samples in place of the arguments that are not constant.
"""

from typing import Final

from flowq.expr.errors import AbsentError, EvalError
from flowq.expr.functions import FUNCTIONS
from flowq.expr.nodes import FunctionCall, Json, ListLiteral, Literal, MapLiteral, Node

_SOME_DATE: Final = "2000-01-01T00:00:00"
_STAND_INS: Final[dict[str, tuple[Json, ...]]] = {
    "format": ("", ""),
    "split": ("", ","),
    "date_add": (_SOME_DATE, 0),
}
"""Samples for arguments that are not constant: with them a call fails only because of its constant arguments."""


class _NotConstant(Exception):
    """An argument is not constant."""


def constant_problem(node: FunctionCall) -> str:
    """Return why a call fails in every run, or "". The types of its arguments are already checked."""
    signature = FUNCTIONS[node.function]
    stand_ins = _STAND_INS.get(node.function)
    arguments = []
    for position, argument in enumerate(node.arguments):
        try:
            arguments.append(_constant(argument))
        except _NotConstant:
            if stand_ins is None:
                return ""
            arguments.append(stand_ins[min(position, 1)])
    try:
        signature.apply(*arguments)
    except AbsentError:
        return ""  # `??` catches it
    except EvalError as error:
        return str(error).replace(f" to '{_SOME_DATE}'", "")
    return ""


def _constant(node: Node) -> Json:
    """Return the value of a constant expression."""
    match node:
        case Literal(value=value):
            return value
        case ListLiteral(items=items):
            return [_constant(item) for item in items]
        case MapLiteral(items=pairs):
            return {key: _constant(value) for key, value in pairs}
        case _:
            raise _NotConstant
