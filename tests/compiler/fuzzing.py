"""A fuzzer of the compiler: `python -m tests.compiler.fuzzing --seconds 600`.

It mutates real flow files, which are better seeds than noise. The compiler must return a plan or diagnostics, within seconds and within the
memory limit of a child process. Any other input is written to a file, with its number.
"""

import argparse
import faulthandler
import json
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flowq.compiler import Compilation, compile_text, render
from flowq.compiler.syntax.schema import schema_document
from flowq.expr.functions import FUNCTIONS
from tests.support.memory import peak

ROOT: Final = Path(__file__).resolve().parents[2]
CASES: Final = ROOT / "tests" / "compiler" / "cases"
SLOW: Final = 20.0  # s for one input, after which it counts as hanging
MOST: Final = 60_000  # characters of an input
TOKENS: Final = (
    *("${{ ", " }}", "${{", "}}", "{", "}", "[", "]", "(", ")", ": ", ":", ", ", "- ", "? ", "| ", ">-\n", "|2\n", "&a ", "*a", "<<: *a", "!!str ", "!x ", "%YAML 1.2\n"),
    *("'", '"', "\\", "\\u0000", "\\x41", "#", " #", "\n", "\n  ", "\r\n", "\t", "\0", "\x85", "\u2028", "\ufeff", "é", "𝄞", "\ud800", "---\n", "...\n"),
    *("jobs.a.result", "params.x", "matrix.v", "item", "env.A", "run.id", "??", "&&", "||", "==", "<", "!", "[*]", "[0]", "['a']", ".a", "null", "true", "1e999", "-1", "0"),
    *("$(", "`", "$((", "${", "<<EOF\n", "EOF\n", "eval ", "sh -c '", "$'", '$"', "| sh", "[[ ", "((", ";;", "case x in ", "done", "f() {"),
    *("5m", "1h30m", "never", "success", "done", "ok", "m.f", "m:f", "a", "b", "parts/leaf.yaml", "99999999999999999999", "1970-01-01", "stage:a"),
    *("0 6 * * *", "@daily", "*/5 * * * * 7", "Europe/Berlin", "2026-03-29T02:30", "9999-12-31", "event.body", "event.path", "in/*.csv", "webhook: ", "files: ", "cron: ", "every: "),
)  # fmt: skip


def seeds() -> list[str]:
    """Return the seeds: the golden cases, the examples, and the words of the schema and the language."""
    paths = [
        *CASES.glob("**/*.yaml"),
        *ROOT.glob("examples/**/*.yaml"),
        *ROOT.glob("tests/language/flows/**/*.yaml"),
    ]
    texts = [path.read_bytes().decode("utf-8", "replace") for path in sorted(paths)]
    return [text for text in texts if len(text) < MOST // 4]


def words() -> list[str]:
    """Return pieces to insert."""
    document = schema_document()
    keys = [*document["properties"], *document["$defs"]["job"]["properties"], *document["$defs"]["param"]["properties"]]
    return [*TOKENS, *(f"{key}: " for key in dict.fromkeys(keys)), *(f"{name}(" for name in FUNCTIONS)]


class Fuzzer:
    """A generator of inputs, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._seeds = seeds()
        self._words = words()

    def inputs(self) -> Iterator[str]:
        """Yield inputs endlessly."""
        while True:
            text = self._chance.choice(self._seeds)
            for _ in range(self._chance.choice((1, 1, 2, 3, 5, 12))):
                text = self._mutated(text)[:MOST]
            yield text

    def _mutated(self, text: str) -> str:
        chance = self._chance
        here = chance.randint(0, len(text))
        there = min(len(text), here + chance.choice((1, 2, 5, 20, 100)))
        match chance.randrange(9):
            case 0:
                return text[:here] + chance.choice(self._words) + text[here:]
            case 1:
                return text[:here] + text[there:]
            case 2:
                return text[:here] + chance.choice(self._words) + text[there:]
            case 3:
                return text[:here] + text[here:there] * chance.choice((2, 3, 50)) + text[there:]
            case 4:
                return text[:here] + chr(chance.choice((0, 9, 10, 32, 39, 123, 255, 0x2028, 0xFFFE, 0x1F600))) + text[here:]
            case 5:
                other = chance.choice(self._seeds)
                start = chance.randint(0, len(other))
                return text[:here] + other[start : start + chance.choice((10, 100, 1000))] + text[there:]
            case 6:
                return self._lines(text)
            case 7:
                return text.replace(
                    chance.choice(self._words).strip() or " ", chance.choice(self._words), chance.choice((1, 5))
                )
            case _:
                return text[:here] + chance.choice(self._words) * chance.choice((10, 200)) + text[here:]

    def _lines(self, text: str) -> str:
        """Move, repeat or indent a line."""
        chance = self._chance
        lines = text.splitlines(keepends=True) or [""]
        line = lines.pop(chance.randrange(len(lines)))
        where = chance.randint(0, len(lines))
        lines[where:where] = chance.choice(([line, line], [line], ["  " + line], [line.lstrip()]))
        return "".join(lines)


def check(text: str) -> Compilation:
    """Compile and render an input; anything but a plan or diagnostics raises."""
    result = compile_text(
        text, file=str(ROOT / "tests" / "compiler" / "cases" / "calls" / "modules" / "fuzzed.yaml"), date="2026-01-31"
    )
    assert (result.plan is None) == any(item.severity == "error" for item in result.diagnostics), "a plan beside an error"
    for item in result.diagnostics:
        shown = render(item, color=True)
        assert item.line >= 1, shown
        assert item.column >= 1, shown
    if result.plan is not None:
        json.loads(result.plan.to_json())
    return result


def main() -> int:
    """Fuzz for some seconds; print a summary, and the file of a failing input."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--into", default=".", help="where a failing input is written")
    chosen = options.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    end = time.monotonic() + chosen.seconds
    codes: Counter[str] = Counter()
    plans = number = 0
    slowest = 0.0
    for number, text in enumerate(Fuzzer(chosen.seed).inputs(), 1):
        if time.monotonic() > end:
            break
        target = Path(chosen.into) / f"fuzz-{chosen.seed}-{number}.yaml"
        faulthandler.dump_traceback_later(SLOW, exit=True)
        begun = time.process_time()
        try:
            result = check(text)
        except BaseException:  # noqa: BLE001 - whatever it is, it must not come out of the compiler
            target.write_text(text, encoding="utf-8", errors="surrogatepass")
            sys.stdout.write(f"{target}\n{traceback.format_exc()}\n")
            return 1
        faulthandler.cancel_dump_traceback_later()
        slowest = max(slowest, time.process_time() - begun)
        plans += result.plan is not None
        codes.update(item.code for item in result.diagnostics)
    sys.stdout.write(
        json.dumps({"inputs": number, "plans": plans, "codes": len(codes), "slowest": round(slowest, 2), "memory": peak()})
        + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
