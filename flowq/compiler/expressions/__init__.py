"""Expressions in a flow file: strings of the tree go in, parsed expressions with spans and checked names come out.

Start with `sites`, which finds and locates expressions; `names` checks their names by context, `constants` evaluates those that are
known before the run.
"""
