"""Views: what the store knows of a run, as people and programs see it. They change nothing."""
