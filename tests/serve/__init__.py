"""Tests of `flowq.serve`."""
