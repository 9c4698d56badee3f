"""Forecasts: what would happen. Which jobs would be skipped, how long a run takes, what a retry runs again."""
