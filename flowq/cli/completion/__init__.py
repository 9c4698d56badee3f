"""Completion of commands, options and names in the shell."""
