"""Params: their declarations, types and values."""
