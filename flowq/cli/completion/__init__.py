"""Completion of commands, options and names in the shell.

The shell passes the words typed so far; the answer is a list of candidates. Start with `candidates`, which reads flow files and the
store; `shell_scripts` has the scripts for bash and fish.
"""
