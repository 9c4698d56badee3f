"""The cache of results, as far as the horse decides it: fingerprints of inputs, and whether an earlier result is taken over.

Loaded only for jobs with `cache`.
"""
