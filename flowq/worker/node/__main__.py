"""`python -m flowq.worker.node`."""

from flowq.worker.node.node import main

if __name__ == "__main__":
    main()
