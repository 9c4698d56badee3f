"""Analysis of the bound flow: the graph, cells of matrices, types of expressions, calls, and warnings."""
