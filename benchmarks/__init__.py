"""Measurements of flowq beside its peers: `make bench`.

Everything here compares: two contestants do the same work on one machine in one run, in turns, and what is printed are medians and
ratios. Absolute figures of a shared machine mean little, so nothing in the test suite is timed.

`graph2flow` turns real workflow graphs into flow files; the tests run those too.
"""
