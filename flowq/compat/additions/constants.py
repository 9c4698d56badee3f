"""The constants of `rq.defaults` that say nothing about flowq."""

from flowq import defaults
from flowq.compat.additions import add_constants

add_constants(
    defaults,
    {
        "DEFAULT_SCHEDULER_FALLBACK_PERIOD": 120,
        "RQ_KEY_PREFIX": "rq",
        "UNSERIALIZABLE_RETURN_VALUE_PAYLOAD": "Unserializable return value",
    },
)
