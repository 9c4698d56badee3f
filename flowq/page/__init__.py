"""The page: static files, which use the REST API as every other client does."""
