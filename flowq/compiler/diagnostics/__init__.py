"""Diagnostics: codes, spans and messages go in, rendered text or JSON comes out.

Start with `diagnostic` (the record and its rendering); `codes` lists the codes, `suggestions` finds the nearest names.
"""
