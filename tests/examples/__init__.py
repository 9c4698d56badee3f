"""The example flows and the real graphs of the corpora, run as a user runs them: through the command line, on the embedded server."""
