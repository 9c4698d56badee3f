"""Random scripts: an accepted value never changes the commands that real shells execute, and the test detects a missing rule."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from flowq.compiler.shell import refusals
from flowq.compiler.shell.interpolation import _assemble
from flowq.compiler.shell.refusals import Refusal, reads_again, uncertain
from flowq.compiler.shell.scanner import Scanner
from flowq.expr import Hole, split_template
from tests.compiler.random_scripts import HARMLESS, HOSTILE, Sandbox, Scripts

SHELLS = [name for name in ("bash", "dash") if shutil.which(name)]


def accepted(chance: random.Random, broken: Refusal | None = None) -> Iterator[tuple[str, str]]:
    """Yield accepted scripts in their source form and their rewritten form.

    Args:
        chance: the source of randomness.
        broken: the rule that the scanner lacks: only scripts that no other rule refuses.
    """
    scripts = Scripts(chance)
    while True:
        text = scripts.script()
        pieces = split_template(text)
        scanner = Scanner(text, [piece for piece in pieces if isinstance(piece, Hole)])
        scanner.scan()
        if scanner.unclosed is None and {*scanner.refusals.values()} == ({broken} if broken else set()):
            yield text, _assemble(pieces, scanner.styles)[0]


def differs(sandbox: Sandbox, shell: str, script: str, value: str) -> bool:
    """Return whether a value, and not just the timing of a pipeline, changes the executed commands."""
    for _ in range(5):
        seen, harmless = (sandbox.executed(shell, script, {"FLOWQ_V1": text}) for text in (value, HARMLESS))
        if seen == harmless or None in (seen, harmless):
            return False
    return True


def broken_promises(
    sandbox: Sandbox, chance: random.Random, count: int, broken: Refusal | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield those of `count` accepted scripts whose execution a value changes, with the shell and the value."""
    for text, script in islice(accepted(chance, broken), count):
        for shell in SHELLS:
            for value in chance.sample(HOSTILE, 4):
                if differs(sandbox, shell, script, value):
                    yield shell, value, text


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_value_changes_what_a_shell_executes(tmp_path: Path, seed: int) -> None:
    assert list(broken_promises(Sandbox(tmp_path), random.Random(seed), 25)) == []


@pytest.mark.chaos
def test_no_value_changes_what_a_shell_executes_in_a_long_sweep(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**9)
    assert list(broken_promises(Sandbox(tmp_path), random.Random(seed), 1500)) == [], seed


def expands_twice(directory: Path) -> bool:
    """Return whether the bash of this machine executes a command that is in a quoted value behind `>&`."""
    script = """x='$(echo executed >&2)'; : >&"$x\""""
    return b"executed" in subprocess.run(["bash", "-c", script], cwd=directory, capture_output=True, check=False).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        reads_again("eval"),
        reads_again("trap"),
        reads_again("unset"),
        refusals.FED,
        refusals.SHELL,
        refusals.PROGRAM,
        refusals.DESCRIPTOR,
        refusals.ARITHMETIC,
        refusals.PARAMETER,
        refusals.BACKTICK,
        refusals.DOCUMENT,
        refusals.LITERAL_TEXT,
        uncertain("$'…' with an escaped quote ends earlier in some shells"),
    ],
    ids=lambda rule: rule.reason[:30],
)
def test_a_scanner_without_a_rule_is_detected(tmp_path: Path, rule: Refusal) -> None:
    if rule is refusals.DESCRIPTOR and not expands_twice(tmp_path):
        pytest.skip("this bash does not expand what stands behind >& a second time, as those before 5.3 do")
    soon = random.Random(8)  # a seed that finds most of them among the first scripts
    assert next(broken_promises(Sandbox(tmp_path), soon, 60, rule), None) is not None
