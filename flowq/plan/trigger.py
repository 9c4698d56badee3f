"""Triggers as the file declares them: what starts a run besides a schedule. Frozen data; `flowq.schedules.triggers` carries them out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from flowq.plan.records import Json

SCHEMES: Final = ("github", "gitlab", "slack", "hmac-sha256", "token")
"""How the requests of a webhook are signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An entry of `triggers`. Times in ms.

    Attributes:
        name: of the trigger.
        kind: webhook, files or flow.
        path: of files: a pattern, relative to the directory of the run.
        settle: of files: how long size and time of a file are the same before it counts as written.
        flow: of flow: the name of the flow that it follows, in the same directory.
        status: of flow: the ends of its runs that count.
        scheme: of a webhook: of `SCHEMES`.
        secret: of a webhook: a reference to the key.
        condition: an expression of `event`; "" holds always.
        params: templated values, with `event`.
        labels: added to the run's.
        overlap: skip, queue, cancel_running or allow.
    """

    name: str
    kind: str
    path: str = ""
    settle: int = 10_000
    flow: str = ""
    status: tuple[str, ...] = ("finished",)
    scheme: str = ""
    secret: Mapping[str, str] | None = None
    condition: str = ""
    params: Mapping[str, Json] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    overlap: str = "queue"
    paused: bool = False
    line: int = 0

    @property
    def definition(self) -> str:
        """A digest of what the events are: with another one, only events from then on count."""
        said = json.dumps([self.kind, self.path, self.flow, sorted(self.status)])
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
