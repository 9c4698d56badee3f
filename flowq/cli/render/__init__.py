"""Renderers: views become lines of styled text, JSON or reports."""
