"""Binding: a checked tree goes in, typed records (`spec`) come out, with templates, defaults and stages resolved.

Start with `flow`, which reads a whole flow, and `job`, which reads one job; the other modules read one key or section each.
"""
