"""What `Job` and `Queue` are made of: the call, its options, settings and state, and how it is put on a queue."""
