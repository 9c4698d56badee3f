"""Actions: what changes a run. Submit, retry, select, approve, remove."""
