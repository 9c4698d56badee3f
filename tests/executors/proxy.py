"""A program between driver and node that does one thing wrong: `python proxy.py FAULT COMMAND…`. It speaks the real frames."""

import os
import signal
import subprocess
import sys
import threading

from flowq.worker.executors import wire

cut = threading.Event()
"""The connection passes nothing on any more, and neither of its ends knows."""


def main() -> None:
    fault, *command = sys.argv[1:]
    if fault == "silent":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    nodes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=fault == "silent")
        for _ in range(2 if fault == "twice" else 1)
    ]
    os.write(1, b"a line of a login shell\n" + wire.PREAMBLE)
    lock = threading.Lock()
    greeted = threading.Event()
    threads = [threading.Thread(target=_up, args=(node, lock, greeted)) for node in nodes]
    for thread in threads:
        thread.start()
    _down(nodes, fault)
    if cut.is_set():
        signal.pause()
    for node in nodes:
        assert node.stdin is not None
        node.stdin.close()
    for thread in threads:
        thread.join()


def _up(node: "subprocess.Popen[bytes]", lock: threading.Lock, greeted: threading.Event) -> None:
    assert node.stdout is not None
    decoder = wire.Decoder(noisy=True)
    while data := os.read(node.stdout.fileno(), 65536):
        for message in decoder.feed(data):
            if cut.is_set():
                continue
            if message[0] == wire.BEGUN and sys.argv[1] == "silent":
                cut.set()
            with lock:
                if message[0] == wire.HELLO and greeted.is_set():
                    continue
                greeted.set()
                frame = wire.encode(message)
                while frame:
                    frame = frame[os.write(1, frame) :]
    with lock:
        os.write(2, b"a node has ended\n")
    os._exit(0)


def _down(nodes: "list[subprocess.Popen[bytes]]", fault: str) -> None:
    decoder = wire.Decoder()
    while data := os.read(0, 65536):
        for message in decoder.feed(data):
            if cut.is_set():
                continue
            frame = wire.encode(message)
            if fault == "altered" and message[0] == wire.GRANT and message[3]["attempt"] == 1:
                frame = frame[:-1] + bytes([frame[-1] ^ 1])
            for node in nodes:
                assert node.stdin is not None
                for _ in range(2 if fault == "again" and message[0] in {wire.START, wire.GRANT} else 1):
                    node.stdin.write(frame)


if __name__ == "__main__":
    main()
