"""Slots: the times at which a schedule is due, as pure functions of time.

Cron expressions and intervals go in, with a time zone; milliseconds since the epoch come out. `schedule` has the slots of one expression,
`series` those of an entry of a flow's `schedule`, `timezones` the zones and their changes of the clock.
"""
