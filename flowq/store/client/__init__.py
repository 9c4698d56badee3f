"""How the store talks to a server: scripts, pipelines, clusters, and errors in the words of flowq."""
