"""Renderers: views and records become lines of styled text, JSON or reports.

Start with `styled_text`, the type of a line, and `run_table`, the table of `flowq status`. `vocabulary` has the words and styles that
all tables share; `output` writes lines and documents to standard output.
"""
