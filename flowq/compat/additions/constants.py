"""The constants of `rq.defaults`, with the values that hold in flowq."""

from typing import Final

from flowq import defaults
from flowq.compat.additions import add_constants

DEFAULT_LOGGING_DATE_FORMAT: Final = "%H:%M:%S"
DEFAULT_LOGGING_FORMAT: Final = "%(asctime)s %(message)s"

add_constants(
    defaults,
    {
        "DEFAULT_CONNECTION_CLASS": "redis.Redis",
        "DEFAULT_CRON_JOB_HISTORY_LIMIT": 1000,
        "DEFAULT_CRON_JOB_HISTORY_TTL": int(defaults.FAILURE_TTL),
        "DEFAULT_CRON_SCHEDULER_TTL": 120,
        "DEFAULT_DEATH_PENALTY_CLASS": "rq.timeouts.UnixSignalDeathPenalty",
        "DEFAULT_FAILURE_TTL": int(defaults.FAILURE_TTL),
        "DEFAULT_JOB_CLASS": "rq.job.Job",
        "DEFAULT_JOB_MONITORING_INTERVAL": 30,
        "DEFAULT_LOGGING_DATE_FORMAT": DEFAULT_LOGGING_DATE_FORMAT,
        "DEFAULT_LOGGING_FORMAT": DEFAULT_LOGGING_FORMAT,
        "DEFAULT_MAINTENANCE_TASK_INTERVAL": 600,
        "DEFAULT_QUEUE_CLASS": "rq.Queue",
        "DEFAULT_RESULT_TTL": int(defaults.RESULT_TTL),
        "DEFAULT_SCHEDULER_FALLBACK_PERIOD": 120,
        "DEFAULT_SERIALIZER_CLASS": "rq.serializers.DefaultSerializer",
        "DEFAULT_WORKER_CLASS": "rq.Worker",
        "DEFAULT_WORKER_TTL": 420,
        "RQ_KEY_PREFIX": "rq",
        "UNSERIALIZABLE_RETURN_VALUE_PAYLOAD": "Unserializable return value",
    },
)
