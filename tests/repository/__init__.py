"""The repository: what the README promises, what the Makefile offers, what the wheel contains, who may import whom."""
