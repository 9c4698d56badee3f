"""Flows with every feature of the language, executed on a real server by a real worker."""
