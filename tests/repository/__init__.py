"""Checks of the repository: README, Makefile, wheel, layout, import contracts."""
