"""The settings as programs see them, without passwords."""

from flowq.config import Settings, redact, variable_of
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
    return redact(value) if name == "url" else value
