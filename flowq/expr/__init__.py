"""The expression language of flows: what stands between `${{` and `}}`, and after `if:`.

It owns the syntax (`tokens`, `parser`, `nodes`), the static types (`types`), the functions (one table with signatures, `functions`), the
evaluation (`evaluator`) and the texts with expressions in them (`templates`). The compiler checks expressions with it, the
workers' supervisors evaluate them with it; it knows neither of the two, nor YAML, nor Redis, and imports nothing but the standard library.

Invariants:

* Values are JSON and nothing else. No operation reaches a Python object, an attribute or a format mini-language.
* There is no implicit conversion: an operand of the wrong type is an `EvalError` that names both types.
* Evaluation is total and bounded: no loops, a budget of steps, a limit on the size of every text and list it makes.
* A name that is not there (`params.x.missing`) is an error, not null; `??` is the one way to say what then.
"""

from flowq.expr.errors import EvalError, ExprSyntaxError
from flowq.expr.evaluator import evaluate, to_text
from flowq.expr.nodes import Expression, Reference
from flowq.expr.parser import parse
from flowq.expr.templates import Hole, join_holes, literal, render, split_template

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
]
