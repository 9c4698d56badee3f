"""A private sshd on the loopback address, with keys of its own."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.wait import until

_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host
AuthorizedKeysFile {directory}/key.pub
PidFile none
StrictModes no
PasswordAuthentication no
UsePAM no
PermitRootLogin yes
MaxSessions 50
"""


@contextmanager
def running(directory: Path) -> Iterator[tuple[int, Path]]:
    """Run a server; yield its port and the private key that it accepts."""
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    (port,) = free_ports(1)
    config = directory / "sshd_config"
    config.write_text(_CONFIG.format(port=port, directory=directory))
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, and a package's service makes it
    with subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _answers(port), timeout=20, message="sshd to answer")
            yield port, directory / "key"
        finally:
            server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
