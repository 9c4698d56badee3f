"""What the processes of a worker say to each other: the channel, its messages, and what the kernel is asked for.

Horses and fork servers import this package. This module imports nothing.
"""
