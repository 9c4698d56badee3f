"""A server with TLS: certificate and host name are checked, and what is wrong is said in one sentence."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowq.connections.clients import open_client, open_store
from flowq.exceptions import ServerError, ServerUnavailableError
from tests.support.ports import free_ports
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no openssl, which makes the certificates")


@dataclass(frozen=True, slots=True)
class Secured:
    """A server with TLS on a port, and the directory of the certificates."""

    port: int
    plain: int
    place: Path

    def url(self, authority: str = "ca", host: str = "localhost", more: str = "") -> str:
        return f"rediss://{host}:{self.port}?ssl_ca_certs={self.place}/{authority}.crt{more}"


def openssl(place: Path, *arguments: str) -> None:
    assert OPENSSL is not None
    subprocess.run([OPENSSL, *arguments], cwd=place, check=True, capture_output=True)


def authority(place: Path, name: str) -> None:
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    strict = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # as Python 3.13 and newer want it
    openssl(place, *new, *strict, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")


def certificate(place: Path, name: str, host: str, *days: str) -> None:
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={host}")
    openssl(place, *new, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (place / "san").write_text(f"subjectAltName=DNS:{host}\nauthorityKeyIdentifier=keyid\n")
    signing = ("x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san")
    openssl(place, *signing, "-in", f"{name}.csr", "-out", f"{name}.crt", *(days or ("-days", "2")))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two authorities, and with certificates of the first one."""
    made = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        authority(made, name)
    certificate(made, "good", "localhost")
    certificate(made, "elsewhere", "elsewhere.example")
    certificate(made, "expired", "localhost", "-days", "0")  # newer ones of openssl refuse fewer
    return made


def secured(place: Path, binary: str, name: str) -> Iterator[Secured]:
    port, plain = free_ports(2)
    server = PrivateServer(binary)
    files = ("--tls-cert-file", f"{place}/{name}.crt", "--tls-key-file", f"{place}/{name}.key")
    try:
        try:
            server.start(
                "--tls-port", str(port), *files, "--tls-ca-cert-file", f"{place}/ca.crt", "--tls-auth-clients", "optional"
            )
        except AssertionError as error:
            if "TLS" not in str(error) and "tls" not in str(error):
                raise
            pytest.skip(f"{binary} was built without TLS")
        server.client().config_set("port", plain)
        yield Secured(port, plain, place)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def good(place: Path, redis_binary: str) -> Iterator[Secured]:
    yield from secured(place, redis_binary, "good")


@pytest.fixture(scope="module")
def elsewhere(place: Path, redis_binary: str) -> Iterator[Secured]:
    yield from secured(place, redis_binary, "elsewhere")


@pytest.fixture(scope="module")
def expired(place: Path, redis_binary: str) -> Iterator[Secured]:
    yield from secured(place, redis_binary, "expired")


def test_a_flow_runs_over_tls(good: Secured, tmp_path: Path) -> None:
    store = open_store(good.url(), "flowq-test")
    with WorkerProcess(good.url()):
        assert [record.status for record in ended(store, start(store, flow(node("a", script("true"))), tmp_path))] == [
            "finished"
        ]
    store.close()


def told(url: str) -> str:
    with pytest.raises(ServerError) as caught:
        open_client(url)
    assert isinstance(caught.value, ServerUnavailableError)
    return str(caught.value)


def test_an_authority_that_is_not_known(good: Secured) -> None:
    for url in (good.url("other"), f"rediss://localhost:{good.port}"):
        assert re.fullmatch(
            rf"the server at rediss://localhost:{good.port}\S* cannot be reached: .*certificate verify failed.*"
            r"; for an authority of your own add \?ssl_ca_certs=/path/to/its.crt to the URL",
            told(url),
        )


def test_a_certificate_of_another_host(elsewhere: Secured) -> None:
    assert "certificate is not valid for 'localhost'" in told(elsewhere.url())
    open_client(elsewhere.url(more="&ssl_check_hostname=false")).close()


def test_a_certificate_that_has_expired(expired: Secured) -> None:
    assert "certificate has expired" in told(expired.url())
    assert "authority of your own" not in told(expired.url())


def test_one_side_without_tls(good: Secured) -> None:
    """Neither is taken for the other silently."""
    waits = "?socket_timeout=0.5&socket_connect_timeout=0.5"  # a server without TLS waits for the end of the first line
    secure = told(f"rediss://localhost:{good.plain}{waits}&ssl_ca_certs={good.place}/ca.crt")
    assert secure.endswith("did not answer in time; if it does not speak TLS, its URL begins with redis://")
    plain = told(f"redis://localhost:{good.port}")
    assert "cannot be reached" in plain
    assert plain.endswith("; if it speaks TLS, its URL begins with rediss://")


def test_a_worker_that_cannot_verify_its_server_ends_with_a_reason(good: Secured, capfd: pytest.CaptureFixture[str]) -> None:
    with WorkerProcess(good.url("other")) as worker:
        assert worker.wait() == 6
    said = capfd.readouterr().err
    assert "certificate verify failed" in said
    assert "Traceback" not in said
