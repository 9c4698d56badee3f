"""What `Job` and `Queue` are made of.

`JobSettings` is what a client gave (call, options, meta), `JobState` what the store has; `Job` is a facade over both, with the attributes
of `JobAttributes`. Settings read the state where nothing was given; the state knows nothing of them. `options` is the table of all options,
`Enqueueing` the methods of `Queue` that put jobs into it.
"""
