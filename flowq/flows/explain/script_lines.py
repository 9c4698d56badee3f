"""Lines of a job's script in its flow file: a shell names the line of an error in the file that the script was given to it in.

The place of a script is not in the plan, it is searched in the text of the flow file where it is asked for. So it costs nothing until a
job fails, and is right also after the file has been changed around the script.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from flowq.plan import SourcePlace, near

_NAMED: Final = re.compile(rb"flowq-scratch-[^/\s]+/[^/\s]+/script\W{0,3}(?:line )?(\d{1,6})\b")
"""As shells and interpreters write it: `…/script: line 3: …`, `…/script: 3: …`, `…/script", line 3`, `…/script:3`."""
_SCRATCH: Final = b"flowq-scratch-"
_LARGEST: Final = 16 * 1024 * 1024  # bytes of a flow file; no larger one is read


def names_a_line(output: bytes) -> bool:
    """Return whether output names a line of a job's script."""
    return _SCRATCH in output and _NAMED.search(output) is not None


def script_line(place: SourcePlace, output: Iterable[bytes]) -> str:
    """Return `line 3 of the script is build.yaml:17` for the last line of the script that the output names.

    Args:
        place: of the job.
        output: lines that it has printed, oldest first.

    Returns:
        "" where no line is named, or the file does not have the script line by line, as in a folded text.
    """
    named = _last_named(output)
    line = _line_of(place, named)
    return "" if line is None else f"line {named} of the script is {near(place.file)}:{line}"


def line_in_file(place: SourcePlace, output: Iterable[bytes]) -> int | None:
    """Return the line of the flow file of which `script_line` tells; None for none."""
    return _line_of(place, _last_named(output))


def _last_named(output: Iterable[bytes]) -> int:
    """Return the last line of the script that the output names, 0 for none."""
    return next(
        (int(match[1]) for line in reversed([*output]) if _SCRATCH in line for match in [*_NAMED.finditer(line)][-1:]), 0
    )


def _line_of(place: SourcePlace, named: int) -> int | None:
    script = place.script.rstrip("\n").split("\n")
    if not place.file or not 1 <= named <= len(script) or len(script) == 1:
        return None
    first = _first_line(script, place)
    return None if first is None else first + named - 1


def _first_line(script: Sequence[str], place: SourcePlace) -> int | None:
    """Return the number of the line of the file in which a script begins: the first place below the job's line, else the only one."""
    try:
        file = Path(place.file)
        if file.stat().st_size > _LARGEST:
            return None
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError):
        return None
    wanted, found = [line.strip() for line in script], [line.strip() for line in lines]
    below = next(_places(wanted, found, place.line - 1), None)
    if below is not None:
        return below + 1
    above = list(_places(wanted, found, 0))  # one that several jobs share is nearly always a template of its own
    return above[0] + 1 if len(above) == 1 else None


def _places(script: Sequence[str], lines: Sequence[str], begin: int) -> Iterator[int]:
    """Yield the index of each line from `begin` on with which all lines of the script begin."""
    for start in range(begin, len(lines) - len(script) + 1):
        if all(_same(wanted, lines[start + number]) for number, wanted in enumerate(script)):
            yield start


def _same(wanted: str, line: str) -> bool:
    """Return whether a line of the file became that of the script: from a `${{ }}` on, a reference to its value is in the latter."""
    before, value, _ = line.partition("${{")
    return wanted.startswith(before) if value else wanted == line
