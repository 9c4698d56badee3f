"""The example flows and the real graphs of the corpora, run through the command line on the embedded server."""
