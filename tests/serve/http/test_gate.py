"""What is refused before anything is looked at: foreign hosts and origins, bodies that are too large, too slow or no JSON."""

import gzip
import json
import select
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowq.exceptions import UsageError
from flowq.serve.http.gate import HEADERS, address_of, check_host
from flowq.serve.http.process.protocol import HEAD
from flowq.serve.http.replies import RefusedError
from flowq.serve.http.site import SiteOptions, checked_options
from flowq.store import Store
from tests.cli.process import flowq
from tests.serve.http.conftest import NAMESPACE, SECRET, execute, start
from tests.serve.http.test_access import sign_in
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer
from tests.support.wait import until


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/{version}", *headers, "Connection: close", "", "")).encode()


# -- Host


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:PORT", 200),
        ("localhost:PORT", 200),
        ("LOCALHOST:PORT", 200),
        ("[::1]:PORT", 200),
        ("localhost.:PORT", 421),
        ("127.0.0.1", 421),
        ("127.0.0.1:1", 421),
        ("evil.example:PORT", 421),
        ("127.0.0.1:PORT@evil.example", 421),
        ("evil.example", 421),
        ("", 421),
    ],
)
def test_the_host_is_one_of_the_page(page: PageServer, store: Store, host: str, status: int) -> None:
    answer = page.raw(request("/healthz", f"Host: {host.replace('PORT', str(page.port))}"))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:300]
    assert (b'"host"' in answer) == (status == 421)


def test_the_host_is_checked_before_anything_else(page: PageServer, store: Store) -> None:
    token = token_of(store, "admin")
    for path in ("/", "/api/v1/runs", "/assets/x", "/hooks/hook/pushed", "/nothing"):
        assert page.raw(request(path, "Host: evil", f"Authorization: Bearer {token}")).startswith(b"HTTP/1.1 421 ")


def test_two_hosts_no_host_and_whole_addresses_are_refused(page: PageServer, store: Store) -> None:
    own = f"Host: 127.0.0.1:{page.port}"
    assert page.raw(request("/healthz", own, own)).startswith(b"HTTP/1.1 400 ")
    assert page.raw(request("/healthz", own, "Host: evil")).startswith(b"HTTP/1.1 400 ")
    assert page.raw(request("/healthz")).startswith(b"HTTP/1.1 400 ")
    assert page.raw(request("/healthz", version="1.0")).startswith(b"HTTP/1.1 421 ")
    assert page.raw(request("http://evil.example/healthz", own)).startswith(b"HTTP/1.1 400 ")
    assert page.raw(request("*", own, method="OPTIONS")).startswith(b"HTTP/1.1 400 ")


def test_a_page_behind_a_proxy_answers_under_its_public_name_and_path() -> None:
    options = SiteOptions(port=80, public_url="https://flows.example/flowq/")
    host = [(b"host", b"flows.example")]
    assert check_host(options, host, "/flowq/api/v1/info") == "/api/v1/info"
    assert check_host(options, host, "/flowq") == "/"
    assert check_host(options, host, "/api/v1/info") == "/api/v1/info"  # the proxy has taken the path off
    assert check_host(options, host, "/flowqx") == "/flowqx"
    assert check_host(options, [(b"host", b"127.0.0.1")], "/") == "/"  # port 80
    with pytest.raises(RefusedError):
        check_host(options, [(b"host", b"flows.example:8470")], "/")
    assert options.cookie == "__Host-flowq-80"


def test_forwarded_addresses_count_only_from_a_trusted_proxy() -> None:
    headers = {"x-forwarded-for": "6.6.6.6, 10.0.0.7"}
    assert address_of(SiteOptions(), ("10.9.9.9", 1), headers) == "10.9.9.9"
    assert address_of(SiteOptions(trusted="10.9.9.8"), ("10.9.9.9", 1), headers) == "10.9.9.9"
    assert address_of(SiteOptions(trusted="10.9.9.9"), ("10.9.9.9", 1), headers) == "10.0.0.7"
    assert address_of(SiteOptions(trusted="10.9.9.9"), ("10.9.9.9", 1), {}) == "10.9.9.9"


def test_forwarded_hosts_never_count(page: PageServer, store: Store) -> None:
    own = f"Host: 127.0.0.1:{page.port}"
    answer = page.raw(
        request("/", own, "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: host=evil.example")
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"evil" not in answer


# -- Origin


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 200),
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://127.0.0.1:PORT"}, 403),
        ({"Origin": "http://localhost:PORT"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": ""}, 415),
    ],
)
def test_only_the_page_itself_changes_something_with_a_cookie(
    page: PageServer, store: Store, changed: dict[str, str | None], status: int
) -> None:
    headers = {**sign_in(page, token_of(store, "admin")), "Content-Type": "application/json", **changed}
    sent = {name: value.replace("PORT", str(page.port)) for name, value in headers.items() if value is not None}
    answer = page.api("POST", "/queues/suspend", b'{"seconds": 1}', headers=sent)
    assert answer.status == status, answer.body
    assert store.queues.suspended() is (status == 200)


def test_a_token_needs_no_origin_but_a_foreign_one_is_refused(page: PageServer, store: Store) -> None:
    token = token_of(store, "admin")
    assert page.api("POST", "/queues/suspend", {}, token=token).status == 200
    assert page.api("POST", "/queues/suspend", {}, token=token, headers={"Origin": "http://evil.example"}).status == 403


def test_no_page_of_another_site_may_sign_in_or_read(page: PageServer, store: Store) -> None:
    token = token_of(store, "viewer")
    assert page.api("POST", "/session", {"token": token}, headers={"Origin": "http://evil.example"}).status == 403
    answer = page.ask(
        "OPTIONS", "/api/v1/runs", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status == 405
    read = page.api("GET", "/runs", token=token, headers={"Origin": "http://evil.example"})
    for found in (answer, read):
        assert not [name for name in found.headers if name.startswith("access-control")]


# -- headers


def test_every_answer_has_the_headers(page: PageServer, store: Store) -> None:
    token = token_of(store, "viewer")
    for answer in (
        page.ask("GET", "/"),
        page.ask("GET", "/runs/abc"),
        page.ask("GET", "/nothing/at/all"),
        page.ask("GET", "/healthz", headers={"Host": "evil"}),
        page.api("GET", "/runs"),
        page.api("GET", "/runs", token=token),
        page.api("GET", "/runs/nothing", token=token),
        page.api("PUT", "/runs", token=token),
        page.api("POST", "/session", b"{", headers={"Content-Type": "application/json"}),
    ):
        assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    for rule in (
        "default-src 'none'",
        "script-src 'self';",
        "frame-ancestors 'none'",
        "trusted-types 'none'",
        "form-action 'self'",
    ):
        assert rule in policy
    assert "unsafe" not in policy


def test_only_files_with_a_hash_are_cached(page: PageServer, store: Store) -> None:
    shell = page.ask("GET", "/").body.decode()
    asset = next(part for part in shell.split('"') if part.startswith("/assets/") and part.endswith(".css"))
    answer = page.ask("GET", asset)
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    packed = page.ask("GET", asset, headers={"Accept-Encoding": "gzip"})
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed.body) == answer.body
    assert page.ask("GET", "/assets/0/js/main.js").status == 404


def test_signing_out_clears_what_the_browser_has(page: PageServer, store: Store) -> None:
    answer = page.api("DELETE", "/session", token=token_of(store, "viewer"))
    assert (answer.status, answer.headers["clear-site-data"]) == (204, '"cache", "storage"')


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/runs/x/graph", "/flows/etl:load/launch", "/schedules", "/queues", "/workers", "/admin", "/login"]
)
def test_every_address_of_the_page_is_the_shell(page: PageServer, store: Store, path: str) -> None:
    answer = page.ask("GET", path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


# -- bodies


def test_a_body_has_a_limit(page: PageServer, store: Store) -> None:
    token = token_of(store, "operator")
    answer = page.api("POST", "/flows/etl:load/check", {"params": {"table": "x" * 2**20}}, token=token)
    assert (answer.status, answer.code) == (413, "too_large")
    head = f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Type: application/json\r\n"
    promised = page.raw(f"{head}Content-Length: 2147483648\r\n\r\n".encode())  # 2 GiB, of which nothing has to come
    assert promised.startswith(b"HTTP/1.1 413 ")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    chunked = page.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 17)
    assert chunked.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_is_still_sending_reads_the_refusal(page: PageServer) -> None:
    head = f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Length: {2**23}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert select.select([connection], [], [], 10)[0]  # it has been refused, and the body comes nevertheless
        for _ in range(128):
            connection.sendall(b" " * 65536)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "not of type"),
        (b"null", "not of type"),
        (b'{"params": NaN}', "NaN"),
        (b'{"params": 1e999}', "not of type"),
        (b'{"params": {"a": 1, "a": 2}}', "twice"),
        (b'{"params": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "50 levels"),
        (b"[" * 200_000, "50 levels"),
        (b'{"yaml": "jobs: {}"}', "yaml"),
        (b'{"file": "/etc/passwd"}', "file"),
        (b'\xff{"params": {}}', "JSON"),
        (b'{"labels": {"a": 1}}', "labels.a"),
        (b'{"timeout": -1}', "timeout"),
        (b"9" * 5000, "JSON"),
    ],
)
def test_what_a_route_does_not_take_is_refused(page: PageServer, store: Store, body: bytes, says: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = page.api(
        "POST", "/tokens" if body == b"" else "/flows/etl:load/runs", body, token=token_of(store, "admin"), headers=headers
    )
    assert answer.status == 400, answer.body
    assert says in answer.document["error"]["message"]
    assert store.runs.recent() == []


@pytest.mark.parametrize("half", ["\\ud800", "\\uDFFF", "fqt_\\udcff", "\\udc00\\ud800"])
def test_a_text_with_half_a_character_is_refused_everywhere(page: PageServer, store: Store, half: str) -> None:
    admin, headers = token_of(store, "admin"), {"Content-Type": "application/json"}
    for path, body in {
        "/session": f'{{"token": "{half}"}}',
        "/tokens": f'{{"name": "{half}", "role": "viewer"}}',
        "/flows/etl:load/runs": f'{{"params": {{"{half}": 1}}}}',
        "/flows/etl:load/check": f'{{"params": {{"table": ["{half}"]}}}}',
    }.items():
        answer = page.api("POST", path, body.encode(), token=admin, headers=headers)
        assert (answer.status, answer.code) == (400, "body"), answer.body
        assert "half a character" in answer.document["error"]["message"]
    whole = page.api("POST", "/tokens", b'{"name": "\\ud83d\\ude00 \\\\ud800", "role": "viewer"}', token=admin, headers=headers)
    assert (whole.status, whole.document["name"]) == (201, "\U0001f600 \\ud800")


def test_a_client_that_goes_while_its_body_comes(page: PageServer, store: Store) -> None:
    """It is no error of the server: the log has no traceback."""
    before = len(page.output)
    head = f"POST /hooks/hook/plain HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Type: application/json\r\n"
    for part in ("Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
        with socket.create_connection(("127.0.0.1", page.port), timeout=10) as connection:
            connection.sendall(f"{head}{part}".encode())
    token = token_of(store, "viewer")

    def counted() -> bool:
        lines = page.ask("GET", "/metrics", token=token).body.decode().splitlines()
        return any("hooks" in line and 'code="400"' in line and line.endswith(" 2") for line in lines)

    until(counted, message="both to be answered")
    assert "Traceback" not in page.output[before:]


def test_a_stranger_can_send_little(page: PageServer, store: Store) -> None:
    """Nothing of a body is read before there is a token or a cookie, except a small one to sign in."""
    sign_in_body = page.api("POST", "/session", {"token": "x" * 5000})
    assert (sign_in_body.status, sign_in_body.code) == (413, "too_large")
    head = f"POST /api/v1/flows/etl:load/runs HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Type: application/json\r\n"
    answer = page.raw(f"{head}Content-Length: 1000000\r\n\r\n".encode())  # nothing of which comes
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_parameters_have_a_limit_of_their_own(page: PageServer, store: Store) -> None:
    token = token_of(store, "viewer")
    assert page.api("GET", f"/runs?q={'x' * 8190}", token=token).status == 400
    for path in ("/runs", "/nothing"):
        answer = page.api("GET", f"{path}?q={'x' * 8191}", token=token)
        assert (answer.status, answer.code) == (414, "query")


@pytest.mark.slow
def test_slow_requests_are_ended(page: PageServer, store: Store) -> None:
    """A head that never ends, a byte at a time, and a body that never ends: both connections are closed in time."""
    head = f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Type: application/json\r\n"

    def slowly(content: bytes) -> tuple[float, bytes]:
        begun, answer = time.monotonic(), b""
        with socket.create_connection(("127.0.0.1", page.port)) as connection:
            connection.settimeout(0.5)
            connection.sendall(content)
            while time.monotonic() - begun < HEAD + 5:
                try:
                    chunk = connection.recv(65536)
                    answer += chunk
                    if not chunk:
                        break
                except TimeoutError:
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        break
                except OSError:
                    break
        return time.monotonic() - begun, answer

    with ThreadPoolExecutor() as pool:
        kinds = [b"GET / HTTP/1.1\r\nX: ", b"", f"{head}Content-Length: 1000\r\n\r\n".encode()]
        found = list(pool.map(slowly, kinds))
    assert all(took < HEAD + 3 for took, _ in found), found
    assert [answer[:12] for _, answer in found][:2] == [b"", b""]
    assert found[2][1].startswith(b"HTTP/1.1 408 ")
    assert page.ask("GET", "/healthz").status == 200


def test_heads_have_a_limit(page: PageServer, store: Store) -> None:
    own = f"Host: 127.0.0.1:{page.port}"
    assert page.raw(request("/healthz", own, *[f"X-{number}: {'x' * 1000}" for number in range(15)])).startswith(
        b"HTTP/1.1 200 "
    )
    assert page.raw(request("/healthz", own, *[f"X-{number}: {'x' * 1000}" for number in range(17)])).startswith(
        b"HTTP/1.1 431 "
    )
    assert not page.raw(request(f"/{'x' * 200_000}", own)).startswith(b"HTTP/1.1 200 ")


# -- names


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "..",
        "%2e%2e",
        "etl%00load",
        "%2Fetc%2Fpasswd",
        "etl%EF%BC%8Fload",
        "etl%2Fload",
        "etl/load",
        "x" * 5000,
        "wrong.yaml",
    ],
)
def test_a_flow_is_looked_up_and_its_name_is_no_path(page: PageServer, store: Store, name: str) -> None:
    for path in (f"/flows/{name}", f"/flows/{name}/source"):
        assert page.api("GET", path, token=token_of(store, "viewer")).status == 404
    assert page.api("POST", f"/flows/{name}/runs", {}, token=token_of(store, "operator")).status in {404, 405}


@pytest.mark.parametrize("run", ["..", "%2e%2e%2f", "a%00b", "@latest", "*", "x" * 65, "%F0%9F%92%A9", "a%0d%0ab"])
def test_a_run_is_looked_up(page: PageServer, store: Store, run: str) -> None:
    assert page.api("GET", f"/runs/{run}", token=token_of(store, "viewer")).status == 404


def test_the_log_of_the_server_has_one_line_for_a_request(page: PageServer, store: Store) -> None:
    token = token_of(store, "admin", name="ann\r\nroot")
    page.api("POST", "/runs/x%0d%0aINJECTED%1b%5b31m/cancel", {}, token=token)
    page.api("POST", "/queues/resume", {}, token=token, headers={"X-Forwarded-For": "\x1b[31m1.1.1.1"})
    lines = page.output.splitlines()
    assert not [line for line in lines if line.startswith("INJECTED") or "\x1b" in line]
    assert [line for line in lines if "POST /api/v1/queues/resume by ann\\x0d\\nroot" in line or "ann\\r\\nroot" in line]


def test_no_secret_is_in_any_answer_or_in_the_log(page: PageServer, store: Store, flows: Path) -> None:
    token = token_of(store, "admin")
    run = start(store, flows, "hook")
    execute(store, run)
    paths = [
        "/info",
        "/flows",
        "/flows/hook",
        "/flows/hook/source",
        "/flows/hook/graph",
        "/runs",
        f"/runs/{run}",
        f"/runs/{run}/jobs",
    ]
    paths += [f"/runs/{run}/{part}" for part in ("jobs/0", "jobs/0/log", "source", "events")]
    paths += ["/schedules", "/doctor", "/tokens", "/audit", "/serves", "/workers", "/openapi.json"]
    for path in paths:
        answer = page.api("GET", path, token=token)
        assert answer.status == 200, (path, answer.body)
        assert SECRET.encode() not in answer.body
    assert SECRET not in page.output
    assert token not in page.output


# -- the start


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (SiteOptions(host="0.0.0.0", everyone="ann"), "--no-auth lets everyone in"),  # noqa: S104
        (SiteOptions(host="10.0.0.7", everyone="ann"), "--no-auth lets everyone in"),
        (SiteOptions(everyone="ann", public_url="https://flows.example"), "--no-auth and --public-url exclude each other"),
        (SiteOptions(host="0.0.0.0"), "--host 0.0.0.0 needs --public-url"),  # noqa: S104
        (SiteOptions(host="::"), "--host :: needs --public-url"),
        (SiteOptions(public_url="flows.example"), "--public-url takes an address"),
        (SiteOptions(public_url="ftp://flows.example"), "--public-url takes an address"),
        (SiteOptions(public_url="https://ann:x@flows.example"), "--public-url takes an address"),
    ],
)
def test_a_page_that_is_open_to_others_does_not_start(options: SiteOptions, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        checked_options(options)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_without_credentials_only_this_machine(host: str) -> None:
    assert checked_options(SiteOptions(host=host, everyone="ann")).loopback


def test_no_auth_lets_this_machine_in_but_no_other_site(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE}
    with PageServer("--no-auth", log=tmp_path / "log", env=env) as page:
        assert page.token == ""
        assert page.api("GET", "/session").document["role"] == "admin"
        assert page.api("POST", "/queues/resume", {}).status == 200
        assert page.api("POST", "/queues/resume", {}, headers={"Origin": "http://evil.example"}).status == 403
        assert page.api("POST", "/queues/resume", b"{}", headers={"Content-Type": "text/plain"}).status == 415
        assert page.raw(request("/api/v1/runs", "Host: evil")).startswith(b"HTTP/1.1 421 ")
        assert page.stop(signal.SIGINT) == 0


def test_read_only_changes_nothing(server: PrivateServer, store: Store, flows: Path, tmp_path: Path) -> None:
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE}
    with PageServer(str(flows), "--read-only", log=tmp_path / "log", env=env) as page:
        token = token_of(store, "admin")
        assert page.api("GET", "/info", token=token).document["readonly"] is True
        assert (page.api("POST", "/queues/suspend", {}, token=token).code) == "read_only"
        assert page.api("POST", "/flows/etl:load/runs", {"params": {"table": "x"}}, token=token).code == "read_only"
        assert page.api("POST", "/flows/etl:load/check", {}, token=token).status == 200
        assert page.api("POST", "/session", {"token": token}).status == 200
        assert not store.queues.suspended()


def test_a_port_that_is_taken_is_told_in_a_sentence(page: PageServer, server: PrivateServer, store: Store) -> None:
    done = flowq("-u", server.url, "ui", "--port", str(page.port), cwd=Path.cwd())
    assert done.returncode == 2
    assert f"127.0.0.1:{page.port} cannot be used: Address already in use; --port takes another one" in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_have_one_form(page: PageServer, store: Store) -> None:
    for answer in (page.api("GET", "/runs"), page.api("GET", "/nothing"), page.ask("POST", "/elsewhere", b"x")):
        assert set(json.loads(answer.body)["error"]) == {"code", "message", "details"}
