"""JSON documents of runs, queues and previews, for programs and the page. Keys are only ever added."""
