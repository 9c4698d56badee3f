"""Slots: the times at which a schedule is due, as pure functions of time.

Cron expressions and intervals go in, with a time zone; milliseconds since the epoch come out. Start with `schedule`.
"""
