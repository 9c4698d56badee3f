"""Each library in its own documented idiom, in a module of its name. What `benchmarks.driver` looks for in such a module:

    put(call)                       ask for one call
    put_many(calls)                 ask for many at once, where the library has a way to
    graph(nodes)                    make a graph ready; what is returned submits it
    chain(calls), fan(first, middle, last)      the same, of libraries that have these and no graphs

Where a function is missing the library has no such thing, and the table a dash. The server is `BENCHMARK_URL`.
"""
