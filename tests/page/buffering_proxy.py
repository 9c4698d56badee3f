"""A proxy that holds back each answer until it has come whole, so that a stream never arrives, as some proxies do unless they are told not to."""

import socket
import socketserver
import threading
from typing import Self


class BufferingProxy:
    """A proxy in front of a server of this machine, used as a context manager. One request per connection."""

    def __init__(self, port: int) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                head = b""
                while b"\r\n\r\n" not in head and (chunk := self.request.recv(65536)):
                    head += chunk
                first, *lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
                kept = [line for line in lines if line.partition(b":")[0].lower() not in {b"host", b"connection"}]
                sent = [first, f"Host: 127.0.0.1:{port}".encode(), b"Connection: close", *kept, b"", b""]
                with socket.create_connection(("127.0.0.1", port)) as server:
                    server.sendall(b"\r\n".join(sent))
                    answer = b"".join(iter(lambda: server.recv(65536), b""))
                self.request.sendall(answer)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                """Let connections end that the browser has given up."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self._server.shutdown()
        self._server.server_close()
