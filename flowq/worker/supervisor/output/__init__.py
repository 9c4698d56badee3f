"""The output of jobs on its way from their pipes to the log."""
