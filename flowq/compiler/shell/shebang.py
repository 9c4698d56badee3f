"""A warning: the first line of a script names an interpreter (`#!/usr/bin/env python3`) that does not run it.

flowq passes the script to its `shell` as a file; the line is a comment to it.
"""

import re
import shlex
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.shell.interpolation import KNOWN_SHELLS, shell_name
from flowq.compiler.syntax.source import Report

_DEFAULT: Final = "bash"
_SHOWN: Final = 60  # characters of the line
_DEFAULT_OPTIONS: Final = re.compile(r"(?:-[eu]*o? ?|pipefail ?)*")  # what the default shell has too


def check_shebang(script: str, span: Span, shell: tuple[str, ...], report: Report) -> None:
    """Report the first line of a script if another program than the one that it names executes the script, or without its options."""
    if not script.startswith("#!"):
        return
    line = script.partition("\n")[0].strip()
    command = _command(line.removeprefix("#!"))
    if not command:
        return
    runner = shell_name(shell) if shell else _DEFAULT
    if _runs(runner, _base(command[0])) and (shell or _DEFAULT_OPTIONS.fullmatch(" ".join(command[1:]))):
        return
    report.add(
        Code.SHEBANG,
        span,
        f"the script begins with `{line[:_SHOWN]}`, but `{shlex.join(shell) if shell else runner}` executes it: the line has no effect",
        f"write `shell: {shlex.join(command)}`, or remove the line",
    )


def _command(text: str) -> list[str]:
    """Return the program of the line and its options, without `env`."""
    words = text.split()
    if words and _base(words[0]) == "env":
        words = [word for word in words[1:] if word not in {"-S", "--split-string"} and "=" not in word]
    elif words:
        words = [_base(words[0]), *words[1:]] if words[0].startswith(("/bin/", "/usr/bin/")) else words
    return words


def _runs(runner: str, named: str) -> bool:
    """Return whether the program that runs the script is the one named, or a shell that reads scripts for `sh`."""
    return runner == named or (runner in KNOWN_SHELLS and named in KNOWN_SHELLS - {"bash"})


def _base(program: str) -> str:
    return program.rpartition("/")[2]
