"""Diagnostics: what the compiler reports, under which code, and the names that were probably meant."""
