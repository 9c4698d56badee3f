"""Tests of the page's server: real processes, real HTTP."""
