"""Options that several commands share: decorators that add them, and the frozen records that hold their values.

Start with `flows` (params, execution, selection) or `queues` (RQ's options for plain queues). `types` converts arguments,
`config_module` reads RQ's settings modules.
"""
