"""Slots: when something is due. Cron expressions and intervals in a time zone, as pure functions of time."""
