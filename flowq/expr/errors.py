"""What can go wrong with an expression: it does not parse, or it has no value."""

from flowq.exceptions import FlowqError


class ExprSyntaxError(FlowqError):
    """An expression that cannot be read.

    Attributes:
        message: what was expected and found.
        start: offset of the first wrong character in the source.
        end: offset behind the last one.
        help: how to repair it, or "".
    """

    def __init__(self, message: str, start: int, end: int, help: str = "") -> None:  # noqa: A002 - the diagnostics' word for it
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.help = help


class EvalError(FlowqError):
    """An expression has no value: an operand of the wrong type, a name that is not there, a limit passed."""


class AbsentError(EvalError):
    """A name that is not there, or a part of null: what `??` catches."""
