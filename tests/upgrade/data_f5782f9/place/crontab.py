"""The cron entry of the fixture."""

from flowq import cron

cron.register("work.add", queue_name="cron", args=(20, 3), interval=60, result_ttl=-1)
