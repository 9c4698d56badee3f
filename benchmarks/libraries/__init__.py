"""One module per library, written as its documentation recommends. `benchmarks.driver` uses these functions of a module:

    put(call)                       enqueue one call
    put_many(calls)                 enqueue many at once
    graph(nodes)                    prepare a graph; return a function that submits it
    chain(calls), fan(first, middle, last)      the same, for libraries that have these but no graphs

If the library lacks a feature, its module lacks the function, and the table has a dash. The server is `BENCHMARK_URL`.
"""
