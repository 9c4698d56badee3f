"""A program with a worker: `python -m benchmarks.work LIBRARY CLASS`. flowq has RQ's names, so it runs both."""

import importlib
import os
import sys

from redis import Redis


def main(library: str, kind: str) -> None:
    """Run the worker until it gets a signal."""
    package = importlib.import_module(library)
    connection = Redis.from_url(os.environ["BENCHMARK_URL"])
    queue = package.Queue("default", connection=connection)
    getattr(package, kind)([queue], connection=connection).work(logging_level="WARNING")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
