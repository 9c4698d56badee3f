"""Callables of the guide's flows."""
