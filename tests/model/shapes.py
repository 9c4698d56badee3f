"""The graphs that the model visits, each with bounds that keep it at some thousand states."""

from tests.model.state import Shape

SHAPES = {
    "one job, waiting retries": Shape(1, retries=1, waits=True, faults=2, requests=2),
    "chain": Shape(2, (0, 1, "success"), retries=1, faults=1, requests=1),
    "diamond": Shape(4, (0, 1, "success"), (0, 2, "success"), (1, 3, "success"), (2, 3, "success"), faults=1, requests=1),
    "fan-in with a handler": Shape(4, (0, 2, "success"), (1, 2, "success"), (2, 3, "failure"), faults=1, requests=1),
    "any end": Shape(3, (0, 1, "done"), (1, 2, "success"), faults=1, requests=1),
    "a limit": Shape(3, (0, 2, "success"), limit=1, faults=1, requests=1),
    "a limit, waiting retries": Shape(2, retries=1, waits=True, limit=1, faults=1, requests=0),
    "plain jobs": Shape(2, retries=1, faults=1, requests=3, plain=True),
    "a plain job": Shape(1, faults=2, requests=4, plain=True),
}
