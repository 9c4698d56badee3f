"""The stream of changes: topics that clients watch, one reader for all of them, and what each client still has to get.

topics       what can be watched
subscribers  one client: its topics, and a bounded queue
changes      what was read, as messages
polls        what no stream tells: lists of runs and schedules, approvals
hub          the reader, a thread
"""
