"""Samples as text, in the format of Prometheus (0.0.4)."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from flowq.telemetry.metrics.families import FAMILIES, Family
from flowq.telemetry.metrics.samples import Sample

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def exposition(samples: Iterable[Sample], *, own: bool) -> str:
    """Return samples as text, in the order of the table of metrics; `own`: also the heads of those of a process."""
    by_family: defaultdict[str, list[Sample]] = defaultdict(list)
    for item in samples:
        by_family[item.name].append(item)
    chosen = [family for family in FAMILIES if own or not family.own]
    return "".join(line for family in chosen for line in _lines(family, by_family[family.name]))


def _lines(family: Family, samples: list[Sample]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.meaning}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for item in samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in item.labels)
        yield f"{family.name}{item.suffix}{f'{{{labels}}}' if labels else ''} {_number(item.value)}\n"


def _escaped(text: str) -> str:
    """Return a value of a label. Characters that terminals or readers of lines could act on are replaced."""
    return "".join(_ESCAPED.get(character, character) for character in _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
