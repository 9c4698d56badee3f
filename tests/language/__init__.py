"""Flows of every feature of the language, executed: real server, real worker, real processes."""
