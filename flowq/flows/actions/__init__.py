"""Actions that change a run: submit, retry, select, approve, remove."""
