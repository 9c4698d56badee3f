"""The fuzzer: only plans and diagnostics, for a few seconds in the suite and five minutes with `make sweeps`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flowq.compiler import compile_text
from tests.compiler.fuzzing import ROOT, Fuzzer


def fuzzed(seconds: float, seed: int, into: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.compiler.fuzzing", "--seconds", str(seconds), "--seed", str(seed), "--into", str(into)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=seconds + 60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_short_while(tmp_path: Path) -> None:
    found = fuzzed(6, int(time.time()) // 86_400, tmp_path)  # new inputs every day
    assert found["inputs"] > 20
    assert found["codes"] > 10
    assert found["memory"] < 200_000


@pytest.mark.chaos
def test_five_minutes(tmp_path: Path) -> None:
    found = fuzzed(300, int(time.time()), tmp_path)
    assert found["codes"] > 40
    assert found["memory"] < 200_000


def test_a_time_zone_with_a_thousand_slashes() -> None:
    """An input that the fuzzer has found: each part of such a name was imported within the one before."""
    (wrong,) = compile_text(f"timezone: {'a/' * 1000}b\njobs: {{a: {{run: 'true'}}}}").diagnostics
    assert (wrong.code, wrong.line) == ("FQ103", 1)


def test_the_same_seed_gives_the_same_inputs() -> None:
    one, other = Fuzzer(7).inputs(), Fuzzer(7).inputs()
    assert [next(one) for _ in range(50)] == [next(other) for _ in range(50)]
