"""An explicit-state model of the transitions of jobs: all states of small graphs are visited, and traces are replayed on the Lua."""
