"""Analysis of the bound flow: typed jobs go in, the graph, the cells of matrices and diagnostics come out.

Start with `graph` (names, cycles, order, ancestors), then `expressions` (names and types) and `matrix_cells`. `calls` checks arguments
against signatures, `matrix_match` checks `match`, `lint` reports warnings.
"""
