"""Views: the stored data of a run, as users and programs see it. They change nothing."""
