"""Where the collector is."""

import os
from typing import Final

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The variables that say where the collector is; the first one that is set counts."""


def endpoint() -> str:
    """Return the address of the collector; "" if there is none."""
    return next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
