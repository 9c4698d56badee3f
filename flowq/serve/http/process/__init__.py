"""The process that serves: socket, connections, signals, and threads beside the loop."""
