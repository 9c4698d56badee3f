"""The settings as programs see them, without passwords."""

import json

from flowq.config import Settings, redact, variable_of
from flowq.flows.views.text import plural
from flowq.plan import Json


def settings_json(settings: Settings) -> list[dict[str, Json]]:
    """Return every setting: its value (None: not set), its source, and the variable of the environment that sets it."""
    return [
        {
            "name": name,
            "value": None if setting is None else _shown(name, setting.value),
            "source": "default" if setting is None else setting.source,
            "variable": variable_of(name) or None,
        }
        for name, setting in settings
    ]


def _shown(name: str, value: str) -> str:
    """Return a value as it is shown; of messages their number, as an address may stand there by mistake, and of executors their names."""
    if name == "notify":
        found = json.loads(value)
        return plural(len(found) if isinstance(found, list) else 1, "message")
    if name == "executors":
        found = json.loads(value)
        return ", ".join(found) if isinstance(found, dict) else redact(value)
    return redact(value) if name in {"url", "store"} else value
