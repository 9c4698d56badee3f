"""How much may be kept of one job."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ON_SERVER: Final = 8 * 1024 * 1024
"""Bytes of all artifacts of a job that are kept on the server, where there is no file store."""

BESIDE_STORE: Final = 256 * 1024
"""The same, where there is a file store, which takes what is larger."""

MAX_FILES: Final = 8_192
"""Files of all artifacts of a job."""

MAX_NAMES: Final = 1024 * 1024
"""Bytes of their names."""

MAX_FETCHED: Final = 32 * 1024 * 1024
"""Bytes that a job fetches from the server."""
