"""The callables that a worker may call: the patterns of `--allow`. Imported by horses, so it must stay light."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

COMMANDS: Final = "run"
"""The name under which scripts and programs (`run:`) are allowed."""


def refusal(name: str, patterns: Sequence[str]) -> str | None:
    """Return why a worker may not call this, None when it may.

    Args:
        name: the dotted name of a callable, or `COMMANDS`.
        patterns: with `*` and `?`, as in names of files; none allow everything.
    """
    if not patterns:
        return None
    from fnmatch import fnmatchcase

    if any(fnmatchcase(name, pattern) for pattern in patterns):
        return None
    what = "execute commands (run)" if name == COMMANDS else f"call {name}"
    return f"this worker may not {what}: it allows only {', '.join(patterns)}"
