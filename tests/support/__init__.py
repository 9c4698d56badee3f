"""Helpers of the tests: a private server, workers, drivers, reference rules, and waiting without sleeping."""
