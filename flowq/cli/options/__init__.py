"""Options: from arguments to values, for commands about flows and commands about queues."""
