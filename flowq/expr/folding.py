"""Calls with constant arguments: what no run could change is tried before the run.

`format('{2}', x)`, `split(x, '')`, `date_add(x, '1 day')`: where the deciding argument is written down, the others are stood in for.
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
"""Values with which a function works whatever its other arguments are, as far as these can work at all."""


class _NotConstant(Exception):
    """Something has to be evaluated in the run."""


def constant_problem(node: FunctionCall) -> str:
    """Return why a call cannot work in any run, "" where it may. The kinds of its arguments are right."""
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
        return ""  # `??` gives a value then
    except EvalError as error:
        return str(error).replace(f" to '{_SOME_DATE}'", "")
    return ""


def _constant(node: Node) -> Json:
    """Return the value of what is written out."""
    match node:
        case Literal(value=value):
            return value
        case ListLiteral(items=items):
            return [_constant(item) for item in items]
        case MapLiteral(items=pairs):
            return {key: _constant(value) for key, value in pairs}
        case _:
            raise _NotConstant
