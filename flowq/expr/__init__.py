"""The expression language of flows, used between `${{` and `}}` and after `if:`.

It owns the syntax (`tokens`, `parser`, `nodes`), the static types (`types`), the functions (`functions`: one table with signatures),
the evaluation (`evaluator`) and templates (`templates`). The compiler checks expressions, the workers' supervisors evaluate them.
The package knows neither of them, nor YAML, nor Redis, and imports only the standard library.

Invariants:

* Values are JSON. No operation reaches a Python object, an attribute or a format mini-language.
* There is no implicit conversion: an operand of the wrong type is an `EvalError` that names both types.
* Evaluation is total and bounded: no loops, a budget of steps, a limit on the size of every string and list it creates.
* A missing name (`params.x.missing`) is an error, not null; `??` gives it a default.
"""

from flowq.expr.errors import EvalError, ExprSyntaxError
from flowq.expr.evaluator import evaluate, to_text
from flowq.expr.nodes import Expression, Reference
from flowq.expr.parser import parse
from flowq.expr.templates import Hole, join_holes, literal, render, split_template, written

__all__ = [
    "EvalError",
    "ExprSyntaxError",
    "Expression",
    "Hole",
    "Reference",
    "evaluate",
    "join_holes",
    "literal",
    "parse",
    "render",
    "split_template",
    "to_text",
    "written",
]
