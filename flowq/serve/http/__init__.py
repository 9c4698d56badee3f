"""The page's server: the REST API, its stream of changes, and the files of the page. One process, a child of `flowq serve` or `flowq ui`.

    schemas     parts of JSON schemas
    principals  who a request is from, and what that user may
    replies     answers, and the errors as answers
    calls       a request as handlers see it
    site        what is served: store, catalog, options
    targets     the run, flow or schedule in a path, and the flow that it belongs to
    handlers/   one module per noun: thin functions from a call to a document, each with its part of the table
    routes      the table: router, roles and OpenAPI document are made of it
    access/     tokens, sessions and links; failed attempts
    live/       the stream of changes: one reader for all who watch
    gate        what is refused before anything is looked at: foreign hosts and origins, large and slow requests
    app         the application: a request through all of these
    process/    the process: socket, connections, signals
    openapi     the document

A handler decides nothing: actions are in `flowq.flows` and `flowq.schedules`, documents are those of the command line. Nothing over HTTP carries
code: no route takes YAML, a path, a callable or an environment. Only this package imports starlette and uvicorn.
"""
