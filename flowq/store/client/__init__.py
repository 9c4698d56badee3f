"""Communication of the store with a server: scripts, pipelines, clusters, and errors as flowq's own."""
