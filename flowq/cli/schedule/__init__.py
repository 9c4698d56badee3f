"""Parts of `flowq schedule`: its tables, options for times, and backfills."""
