"""The parts of `Job` and `Queue`.

`JobSettings` holds the client's input (call, options, meta), `JobState` the stored data; `Job` is a facade over both, with the attributes
of `JobAttributes`. Settings read the state where nothing was given; the state knows nothing of them. `options` is the table of all options,
`Enqueueing` the methods of `Queue` that put jobs into it.
"""
