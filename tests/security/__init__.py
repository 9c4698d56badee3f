"""Threats of docs/reliability.md that no other folder of tests makes: one module for each."""
