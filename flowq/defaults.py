"""Default values and limits, in one place, each with its unit."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

QUEUE: Final = "default"

JOB_TIMEOUT: Final = 180  # s, a plain queue job
FLOW_JOB_TIMEOUT: Final = 3600.0  # s, one attempt of a job of a flow
RESULT_TTL: Final = 500  # s, a plain finished job
FAILURE_TTL: Final = 365 * 86400  # s, a plain failed job
RUN_RETENTION: Final = 30 * 86400.0  # s, the record of a run after its end
CALLBACK_TIMEOUT: Final = 60  # s, a callback of a plain job
RESULTS_KEPT: Final = 10  # executions of which a result is kept

LEASE: Final = 10.0  # s, a started job without a beat is lost after this
BEAT: Final = 3.0  # s between heartbeats
SWEEP: Final = 0.5  # s between sweeps (reap, promote, release), with jitter; one worker sweeps for all
SELF_FENCE: Final = 0.9  # of the lease: the horses of a worker that is stopped for so long are killed
TIMEOUT_GRACE: Final = 2.0  # s between the soft interrupt, SIGTERM and SIGKILL of a plain job over its timeout
STOP_GRACE: Final = 10.0  # s between SIGTERM and SIGKILL of a job of a flow

MAX_PAYLOAD: Final = 8 * 1024 * 1024  # bytes of one job's function and arguments
MAX_RESULT: Final = 8 * 1024 * 1024  # bytes of one result
MAX_ITEMS: Final = 100_000  # items of one foreach
MAX_BUNDLE: Final = 8 * 1024 * 1024  # bytes of the packed files that travel with a run
MAX_PLAN: Final = 128 * 1024 * 1024  # bytes of one stored plan
MAX_LOG_LINE: Final = 16 * 1024  # bytes of one captured line before it is broken
STAGE_CHUNK: Final = 100  # jobs staged by one script call: 2 ms of the server

# The names that RQ's users import, with flowq's values.
DEFAULT_RESULT_TTL: Final = int(RESULT_TTL)  # s
DEFAULT_FAILURE_TTL: Final = int(FAILURE_TTL)  # s
DEFAULT_WORKER_TTL: Final = int(LEASE)  # s
DEFAULT_JOB_MONITORING_INTERVAL: Final = int(BEAT)  # s
DEFAULT_MAINTENANCE_TASK_INTERVAL: Final = max(1, int(SWEEP))  # s
DEFAULT_CRON_JOB_HISTORY_LIMIT: Final = 1000  # ids of jobs kept per name of a cron entry
DEFAULT_CRON_JOB_HISTORY_TTL: Final = 365 * 86400  # s
DEFAULT_CRON_SCHEDULER_TTL: Final = 60  # s
DEFAULT_LOGGING_DATE_FORMAT: Final = "%H:%M:%S"
DEFAULT_LOGGING_FORMAT: Final = "%(asctime)s %(message)s"
DEFAULT_JOB_CLASS: Final = "flowq.job.Job"
DEFAULT_QUEUE_CLASS: Final = "flowq.Queue"
DEFAULT_WORKER_CLASS: Final = "flowq.Worker"
DEFAULT_SERIALIZER_CLASS: Final = "flowq.serializers.DefaultSerializer"
DEFAULT_CONNECTION_CLASS: Final = "redis.Redis"
DEFAULT_DEATH_PENALTY_CLASS: Final = "flowq.timeouts.UnixSignalDeathPenalty"
