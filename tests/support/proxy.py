"""A proxy between a client and the real server that drops chosen replies.

It uses real sockets. A lost reply looks to the client like a connection that breaks after the server has executed the request.
"""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path


class Proxy:
    """A proxy that forwards connections of its unix socket to another one.

    `lose_reply(n)` is called before the answer to the n-th request (of all connections, from 1) is forwarded; if it returns True, the
    proxy closes the connection instead. `forward` sends the bytes of replies to the client. `upstream` may be changed: the next
    connections lead there.
    """

    def __init__(
        self,
        upstream: str,
        lose_reply: Callable[[int], bool] = lambda _number: False,
        forward: Callable[[socket.socket, bytes], object] = socket.socket.sendall,
    ) -> None:
        self.upstream = upstream
        self._lose_reply = lose_reply
        self._forward = forward
        self._directory = Path(tempfile.mkdtemp(prefix="fq-p-", dir="/tmp"))
        self.path = str(self._directory / "s")
        self.requests = 0
        self.request = b""  # the one that `lose_reply` is asked about
        self.lost = 0
        self._lock = threading.Lock()
        self._closed = False
        self._sockets: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        with self._lock:
            for item in self._sockets:
                item.close()
        Path(self.path).unlink(missing_ok=True)
        self._directory.rmdir()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.upstream)
        except OSError:  # the server is down
            server.close()
            client.close()
            return
        with self._lock:
            self._sockets |= {client, server}
        doomed = threading.Event()
        back = threading.Thread(target=self._back, args=(server, client, doomed), daemon=True)
        back.start()
        try:
            data = b""
            while received := client.recv(1 << 20):
                data += received
                while size := _first(data):
                    if b"FCALL" in data[:32] or b"EVAL" in data[:32]:  # only transitions count as requests, not handshakes
                        with self._lock:
                            self.requests += 1
                            self.request = data[:size]
                            if self._lose_reply(self.requests):
                                self.lost += 1
                                doomed.set()
                    server.sendall(data[:size])
                    data = data[size:]
        except OSError:
            pass
        finally:
            server.close()
            client.close()

    def _back(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        try:
            while data := server.recv(1 << 20):
                if doomed.is_set():
                    break
                self._forward(client, data)
        except OSError:
            pass
        for item in (client, server):  # a shutdown wakes the other thread, a close would not
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


def _first(data: bytes) -> int:
    """Return the length of the first request, 0 while it is incomplete; the buffer may hold several."""
    end = data.find(b"\r\n")
    if end < 0:
        return 0
    position = end + 2
    for _ in range(int(data[1:end])):
        end = data.find(b"\r\n", position)
        if end < 0:
            return 0
        position = end + 2 + int(data[position + 1 : end]) + 2
    return position if position <= len(data) else 0
