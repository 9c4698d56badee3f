"""The files that belong to runs: those that travel with them (`bundles`), and those that their jobs leave (`artifacts`)."""
