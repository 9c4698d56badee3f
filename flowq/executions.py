"""`Execution`: one run of a job that is in progress."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Execution:
    """A job that a worker executes now. `last_heartbeat` is the worker's; None when the worker is silent."""

    id: str
    job_id: str
    worker_name: str
    created_at: datetime
    last_heartbeat: datetime | None

    @property
    def composite_key(self) -> str:
        """Job and execution in one text."""
        return f"{self.job_id}:{self.id}"
