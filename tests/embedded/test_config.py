"""Settings: precedence of sources, refused values, and hidden passwords."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.config import Setting, environment_of, load_settings, redact
from flowq.exceptions import ConfigError
from flowq.isolation import jobs_in_process, read_isolation
from tests.support.wait import limited


def load(directory: Path, **environ: str) -> dict[str, Setting | None]:
    return dict(load_settings(directory=directory, environ=environ))


def test_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == {
        "url": None,
        "namespace": Setting("flowq", "default"),
        "home": None,
        "allow_eviction": Setting("false", "default"),
        "keep_place": Setting("24h", "default"),
        "python": None,
        "isolation": None,
        "store": None,
        "heartbeat": None,
        "notify": None,
        "executors": None,
    }


def test_an_address_of_a_file_store(tmp_path: Path) -> None:
    for right in ("file:///shared", "s3://bucket/flowq", "memory://x"):
        assert load(tmp_path, FLOWQ_STORE=right)["store"] == Setting(right, "FLOWQ_STORE")
    for wrong in ("/shared", "file://shared", "file:///", "shared", "://x"):
        with pytest.raises(ConfigError, match=r"store must be an address such as file:///shared/flowq .* \(from FLOWQ_STORE\)"):
            load(tmp_path, FLOWQ_STORE=wrong)


def test_argument_before_environment_before_file(tmp_path: Path) -> None:
    file = tmp_path / "flowq.toml"
    file.write_text('url = "redis://file"\nnamespace = "file"\n')
    assert load(tmp_path)["url"] == Setting("redis://file", str(file))
    environ = {"FLOWQ_REDIS_URL": "redis://environ", "FLOWQ_NAMESPACE": ""}
    assert load(tmp_path, **environ)["url"] == Setting("redis://environ", "FLOWQ_REDIS_URL")
    settings = load_settings("redis://argument", directory=tmp_path, environ=environ)
    assert settings.url == Setting("redis://argument", "argument")
    assert settings.namespace == Setting("file", str(file)), "an empty variable is not set"
    assert load_settings(Setting("redis://u", "-u"), directory=tmp_path, environ=environ).url == Setting("redis://u", "-u")


def test_the_source_of_an_address_reaches_other_processes(tmp_path: Path) -> None:
    handed = environment_of(Setting("redis://given", "-u"))
    assert load(tmp_path, **handed)["url"] == Setting("redis://given", "-u")
    handed["FLOWQ_REDIS_URL"] = "redis://other"  # set by what runs in between
    assert load(tmp_path, **handed)["url"] == Setting("redis://other", "FLOWQ_REDIS_URL")


def test_the_nearest_file_with_settings_of_flowq(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.flowq]\nnamespace = "outer"\n')
    (tmp_path / "a" / "pyproject.toml").write_text(
        '[project]\nname = "not about flowq, although it names it"\n[tool.other]\nx = 1\n'
    )
    assert load(below)["namespace"] == Setting("outer", str(tmp_path / "pyproject.toml"))
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.flowq]\n")
    assert load(below)["namespace"] == Setting("flowq", "default"), "an empty table ends the search"
    (tmp_path / "a" / "flowq.toml").write_text('namespace = "beside"\n')
    assert load(below)["namespace"] == Setting("beside", str(tmp_path / "a" / "flowq.toml"))


def test_a_home_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "flowq.toml").write_text('home = ".flowq"\n')
    (tmp_path / "below").mkdir()
    assert load(tmp_path / "below")["home"] == Setting(str(tmp_path / ".flowq"), str(tmp_path / "flowq.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url = 5", "flowq.toml: url must be a string that is not empty, found 5"),
        ('url = ""', "flowq.toml: url must be a string that is not empty, found ''"),
        (
            'uri = "redis://x"',
            "flowq.toml: unknown key 'uri', expected one of: url, namespace, home, allow_eviction, keep_place",
        ),
        ('allow_eviction = "yes"', "flowq.toml: allow_eviction must be true or false, found 'yes'"),
        (
            'isolation = "none"',
            "isolation: expected job, batch or batch:NUMBER, for some queues as in batch,payments=job, found 'none' (from ",
        ),
        (
            'isolation = {fast = "x"}',
            "isolation: expected job, batch or batch:NUMBER, for some queues as in batch,payments=job, found 'fast=x' (from ",
        ),
        ("isolation = 5", "flowq.toml: isolation must be a string that is not empty, found 5"),
        ('keep_place = "soon"', "keep_place: expected a duration ("),
        ("url = redis://x", "flowq.toml is not valid TOML: "),
        ('namespace = "a b"', "namespace must be 1 to 64 letters, digits and _ . : -, found 'a b' (from "),
        ('namespace = "a}b"', "found 'a}b' (from "),
        ("\udcff", "flowq.toml cannot be read: "),
    ],
)
def test_errors_name_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "flowq.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "flowq.toml") in str(caught.value)


def test_errors_name_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="from FLOWQ_NAMESPACE"):
        load(tmp_path, FLOWQ_NAMESPACE="{x}")
    with pytest.raises(ConfigError, match=r"allow_eviction must be true or false, found 'maybe' \(from FLOWQ_ALLOW_EVICTION\)"):
        load(tmp_path, FLOWQ_ALLOW_EVICTION="maybe")
    with pytest.raises(ConfigError, match="from the argument 'namespace'"):
        load_settings(namespace="{x}", directory=tmp_path, environ={})


def test_tool_flowq_must_be_a_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nflowq = 3\n")
    with pytest.raises(ConfigError, match=r"tool\.flowq must be a table, found 3"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["flowq.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    "text",
    [
        "hunter2 = 1",
        "url = 3 hunter2",
        "hunter2",
        "allow_eviction = 'hunter2'",
        "url = ['hunter2']",
        "a = {hunter2 = 1, hunter2 = 2}",
    ],
)
def test_a_link_out_of_the_directory_is_not_quoted(tmp_path: Path, name: str, text: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "credentials"
    project.mkdir()
    outside.write_text(f"[tool.flowq]\n{text}\n" if name == "pyproject.toml" else f"{text}\n")
    (project / name).symlink_to(outside)
    with pytest.raises(ConfigError, match=name) as caught:
        load(project)
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_other_users_could_have_written_is_ignored(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "mine").mkdir(parents=True)
    (shared / "flowq.toml").write_text('url = "redis://evil"\n')
    shared.chmod(0o1777)
    assert load(shared / "mine")["url"] == Setting("redis://evil", str(shared / "flowq.toml")), "our own file"
    os.chown(shared / "flowq.toml", 65534, -1)
    assert load(shared / "mine")["url"] is None


def test_what_is_no_file_of_settings_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pyproject.toml")
    with limited(5):
        assert load(tmp_path)["url"] is None
    (tmp_path / "flowq.toml").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="it is no file of settings"):
        load(tmp_path)
    (tmp_path / "flowq.toml").unlink()
    (tmp_path / "flowq.toml").symlink_to(os.devnull)
    assert load(tmp_path)["url"] is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:geheim@host", "redis://:***@host"),
        ("rediss://user:geh:eim@host/1", "rediss://user:***@host/1"),
        (
            "redis+sentinel://u:geheim@a:1,b:2/main?sentinel_password=geheim&db=1",
            "redis+sentinel://u:***@a:1,b:2/main?sentinel_password=***&db=1",
        ),
        ("unix:///a?password=geheim", "unix:///a?password=***"),
        ("redis://user:geh@eim@host", "redis://user:***@host"),
        ("redis://user:geh/eim@host", "redis://user:***@host"),
        ("redis://user:geh?eim@host", "redis://user:***@host"),
        ("redis://user:geh#eim@host/0", "redis://user:***@host/0"),
        ("redis://user:geh://eim@host", "redis://user:***@host"),
        ("redis://geheim@host", "redis://***@host"),
        ("user:geheim@host:6379", "user:***@host:6379"),
        ("redis:user:geheim@host", "redis:***@host"),
        ("redis//user:geheim@host", "redis//user:***@host"),
        ("redis://host?Password=geheim&pass=geheim", "redis://host?Password=***&pass=***"),
        ("found {'url': 'user:geheim@host'}", "found {'url': 'user:***@host'}"),
        ("unix:///run/a@b/c:d.sock", "unix:///run/a@b/c:d.sock"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("redis://host:6379,other:6379/main?db=1", "redis://host:6379,other:6379/main?db=1"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_no_parser_is_loaded_without_a_file(tmp_path: Path) -> None:
    script = "import sys; from flowq.config import load_settings; load_settings(); sys.exit('tomllib' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environ, check=False).returncode == 0


def test_isolation_is_a_word_or_a_table_of_queues(tmp_path: Path) -> None:
    file = tmp_path / "flowq.toml"
    file.write_text('isolation = {fast = "batch:20", "slow.eu" = "job"}\n')
    found = load(tmp_path)["isolation"]
    assert found == Setting("fast=batch:20,slow.eu=job", str(file))
    assert read_isolation(found.value) == {"fast": "batch:20", "slow.eu": "job"}
    assert load(tmp_path, FLOWQ_ISOLATION="batch,slow=job")["isolation"] == Setting("batch,slow=job", "FLOWQ_ISOLATION")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "batch,",
        "batch,job",
        "a=batch,a=job",
        "a=",
        "=batch=x",
        "batch:",
        "batch:0",
        "batch:-1",
        "batch:1.5",
        "job:2",
    ],
)
def test_a_wrong_isolation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected job, batch or batch:NUMBER"):
        read_isolation(text)


@pytest.mark.parametrize(
    ("setting", "asked", "jobs"),
    [
        ("", "", 0),
        ("", "batch", 100),
        ("batch", "", 100),
        ("batch", "job", 0),
        ("job", "batch", 0),
        ("q=batch", "", 100),
        ("batch,q=job", "batch", 0),
        ("other=batch", "", 0),
        ("batch:7", "", 7),
        ("batch:7", "batch", 7),
        ("batch:7", "job", 0),
        ("batch:7,q=batch:3", "", 3),
        ("batch:7,q=job", "batch", 0),
    ],
)
def test_the_stricter_of_worker_and_job_wins(setting: str, asked: str, jobs: int) -> None:
    assert jobs_in_process(read_isolation(setting) if setting else {}, "q", asked) == jobs
