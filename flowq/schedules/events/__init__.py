"""Events: the runs that they start (`event_runs`), and those that are requests (`webhooks`)."""
