"""Expressions in a flow file: where they may stand, which names they may use, and what is constant before the run."""
