"""Connections: from settings to a client, and from a client to the store.

urls      addresses of servers, parsed and written
clients   redis-py clients with every option that matters set, and the check of the server behind them
stores    from what users pass as `connection` to the `Store`
"""
