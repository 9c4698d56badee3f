"""Syntax: the bytes of a flow file go in, a tree of nodes with spans comes out, checked against the schema.

Start with `source` (decoding, the `Report` of diagnostics), then `parser` (events to the tree), `nodes` and `schema` (the shape check).
`redaction` removes values of secrets from diagnostics; `files` resolves the paths that a flow names.
"""
