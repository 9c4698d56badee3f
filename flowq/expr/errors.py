"""Errors of expressions: invalid syntax, or no value."""

from flowq.exceptions import FlowqError


class ExprSyntaxError(FlowqError):
    """An expression with invalid syntax.

    Attributes:
        message: what was expected and found.
        start: offset of the first wrong character in the source.
        end: offset after the last one.
        help: how to repair it, or "".
    """

    def __init__(self, message: str, start: int, end: int, help: str = "") -> None:  # noqa: A002 - the diagnostics' word for it
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.help = help


class EvalError(FlowqError):
    """An expression without a value: an operand has the wrong type, a name is missing, or a limit is exceeded."""


class AbsentError(EvalError):
    """A missing name, or a part of null; `??` catches it."""
