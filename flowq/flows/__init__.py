"""Flows: from a Plan to a run, and from what the store knows of a run to what people see.

`submit`, `retry`, and `local` act; `views`, `snapshot` and `follow` read; `why` (with `waits` and `failures`) explains; `graphs` draws.
`rules` says in plain Python what the store's transitions do: `foresee` predicts with it, `resets` selects what a retry runs again, and the
tests hold the store against it. Nothing here parses YAML (the compiler does) or prints (the command line does).
"""
