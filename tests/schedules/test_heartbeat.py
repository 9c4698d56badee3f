"""The heartbeat of schedulers."""

import logging
from pathlib import Path

import pytest

from flowq.config import load_settings
from flowq.exceptions import ConfigError
from flowq.plan.schedule import Entry
from flowq.schedules import heartbeat
from flowq.schedules.heartbeat import Heart
from flowq.schedules.scheduler import Scheduler
from flowq.store import Store
from tests.schedules.flows import Flow, Flows
from tests.support.endpoint import Endpoint
from tests.support.wait import until


def test_a_turn_beats_at_most_once_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Endpoint() as endpoint:
        monkeypatch.setenv("HC", f"{endpoint.url}/ping/canary")
        scheduler = Scheduler(store, Flows.of(Flow("a", (Entry(name="default", every=1000),))), heart=Heart("$HC"))
        for _ in range(5):
            scheduler.turn()
        until(lambda: endpoint.asked)
        assert [(item.method, item.path) for item in endpoint.asked] == [("GET", "/ping/canary")]


def test_trouble_is_told_once_and_without_the_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(heartbeat, "PAUSE", 0.0)
    (tmp_path / "url").write_text("http://127.0.0.1:1/canary\n")
    heart = Heart(str(tmp_path / "url"))
    with caplog.at_level(logging.WARNING, "flowq.schedules"):
        for _ in range(3):
            heart.beat()
            until(lambda: heart._thread is not None and not heart._thread.is_alive())
    (record,) = caplog.records
    assert f"heartbeat to {tmp_path}/url" in record.getMessage()
    assert "canary" not in record.getMessage()


def test_the_setting_is_a_reference(tmp_path: Path) -> None:
    (tmp_path / "flowq.toml").write_text('heartbeat = {env = "HC_URL"}\n')
    assert str(load_settings(directory=tmp_path, environ={}).heartbeat).startswith("Setting(value='$HC_URL'")
    (tmp_path / "flowq.toml").write_text('heartbeat = {file = "hc"}\n')
    found = load_settings(directory=tmp_path, environ={}).heartbeat
    assert found is not None
    assert found.value == f"{tmp_path}/hc"
    found = load_settings(directory=tmp_path, environ={"FLOWQ_HEARTBEAT": "https://example.org/canary"}).heartbeat
    assert found is not None
    assert found.value == "$FLOWQ_HEARTBEAT"


@pytest.mark.parametrize("value", ['"https://example.org"', "{}", '{env = ""}', '{env = "A", file = "b"}', '{url = "a"}', "3"])
def test_anything_else_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "flowq.toml").write_text(f"heartbeat = {value}\n")
    with pytest.raises(ConfigError, match=r'heartbeat must be \{env = "NAME"\} or \{file = "PATH"\}'):
        load_settings(directory=tmp_path, environ={})
