"""Flows: from a Plan to a run, and from what the store knows of a run to what people see.

`submit`, `retry` and `local` act; `views`, `snapshot` and `follow` read; `rules` says in plain Python what the store's transitions
do. Nothing here parses YAML (the compiler does) or prints (the command line does).
"""
