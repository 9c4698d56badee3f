"""What other systems call a schedule, as a line of this language."""

import re
from collections.abc import Iterator
from typing import Final

from flowq.compiler.syntax.nodes import ListNode, ScalarNode, YamlNode

_CALLED: Final = frozenset({"on", "schedules", "cron", "crontab", "schedule_interval", "timetable", "triggers"})
_FIELD: Final = r"[\dA-Za-z*/,\-?#]+"
_CRON: Final = re.compile(rf"{_FIELD}(?: +{_FIELD}){{4,5}}|@[a-z]+")


def schedule_line(key: str, node: YamlNode) -> str:
    """Return the line that declares the cron expressions below a key of another system (`on: {schedule: [{cron: …}]}`), or ""."""
    if key.lower() not in _CALLED:
        return ""
    found = list(dict.fromkeys(text for text in _texts(node) if _CRON.fullmatch(text)))
    if not found:
        return ""
    if len(found) == 1:
        return f'schedule: "{found[0]}"'
    return f"schedule: {{cron: [{', '.join(f'{text!r}' for text in found)}]}}".replace("'", '"')


def _texts(node: YamlNode, depth: int = 0) -> Iterator[str]:
    if isinstance(node, ScalarNode):
        if isinstance(node.value, str):
            yield node.value.strip()
    elif depth < 3:
        for item in node.items if isinstance(node, ListNode) else [value for _, value in node.entries.values()]:
            yield from _texts(item, depth + 1)
