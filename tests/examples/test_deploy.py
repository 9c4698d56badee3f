"""examples/deploy: commands parse, units and manifests are accepted, names fit together, and queries use metrics that there are."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from flowq.cli.context import CliContext
from flowq.cli.main import cli
from flowq.serve.http.process.open_metrics import read_place
from flowq.serve.http.routes import ROUTES
from flowq.telemetry.metrics.families import BY_NAME, FAMILIES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "flowq.json").read_text())
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document["kind"] != "Kustomization"
]
FUNCTIONS = {
    "absent",
    "count",
    "delta",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "max_over_time",
    "rate",
    "sum",
}
OF_TARGET = r"\bup\{"  # what Prometheus itself knows of those that it asks
WORDS = {"and", "by", "or", "unless"}


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in MANIFESTS if document["kind"] == kind]


def containers() -> list[dict[str, Any]]:
    return [item for document in of_kind("Deployment") for item in document["spec"]["template"]["spec"]["containers"]]


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def commands() -> Iterator[list[str]]:
    """Yield the arguments of each `flowq` that is started."""
    yield from (item["args"] for item in containers())
    yield from (COMPOSE["services"][name]["command"] for name in ("serve", "worker"))
    yield from (unit(path)["Service"]["ExecStart"].split()[1:] for path in UNITS)
    yield from (json.loads(line) for line in re.findall(r"^CMD (.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE))


def parsed(arguments: list[str], place: Path) -> dict[str, Any]:
    """Return the parameters of a command; its directory is there."""
    name, *rest = [str(place) if item in {"/flows", "flows"} else item for item in arguments]
    command = cli.get_command(click.Context(cli, obj=CliContext()), name)
    assert command is not None
    return command.make_context(name, rest, parent=click.Context(cli, obj=CliContext())).params


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each query with the place where it stands."""
    for rule in RULES["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]
    for item in of_kind("ScaledObject"):
        yield "autoscaling", item["spec"]["triggers"][0]["metadata"]["query"]


def problems(query: str) -> Iterator[str]:
    """Yield what is wrong with a query: brackets, functions, metrics and labels that there are not."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', query)
    opened = []
    for character in bare:
        if character in "([{":
            opened.append(character)
        elif character in ")]}" and (not opened or opened.pop() + character not in {"()", "[]", "{}"}):
            yield f"unbalanced {character}"
    if opened:
        yield f"unbalanced {opened}"
    metrics = re.findall(r"\bflowq_\w+", bare)
    of_target = bool(re.search(OF_TARGET, bare))
    if not metrics and not of_target:
        yield "no metric"
    known = {"job", "instance"} if of_target else set[str]()
    for metric in metrics:
        name = re.sub(r"_(bucket|sum|count)$", "", metric)
        family = BY_NAME.get(metric) or BY_NAME.get(name)
        if family is None or (family.kind == "histogram") != (name != metric):
            yield f"no series {metric}"
            continue
        known |= {*family.labels, "instance", *({"le"} if metric.endswith("_bucket") else ())}
        if family.kind == "counter" and not re.search(rf"(rate|increase)\({metric}|label_values\({metric}", bare):
            yield f"{metric} is a counter: take its rate"
    for inside in re.findall(r"\{([^}]*)\}|by \(([^)]*)\)|label_values\(\w+, (\w+)\)", bare):
        for label in re.findall(r"[a-z_]+", " ".join(inside)):
            if label not in known:
                yield f"no label {label}"
    used = set(re.findall(r"\b([a-z_]+) ?\(", re.sub(r"\bby \(", "", bare))) - WORDS
    yield from (f"no function {name}" for name in used - FUNCTIONS)


@pytest.mark.parametrize(("place", "query"), list(expressions()))
def test_queries_use_what_is_there(place: str, query: str) -> None:
    assert list(problems(query)) == [], place


@pytest.mark.parametrize(
    "query",
    [
        "flowq_run_total",
        "max(flowq_runs))",
        "max by (job) (flowq_runs)",
        'flowq_runs{host="a"}',
        "flowq_runs_total > 0",
        "rate(flowq_job_wait_seconds[5m])",
        "averag(flowq_runs)",
        "vector(1)",
    ],
)
def test_wrong_queries_are_found(query: str) -> None:
    assert list(problems(query))


def test_each_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    text = " ".join(query for _, query in expressions())
    assert [family.name for family in FAMILIES if not re.search(rf"\b{family.name}(_bucket)?\b", text)] == []


def test_alerts_say_what_is_wrong() -> None:
    rules = RULES["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        kept = set(re.findall(r"by \(([^)]*)\)", rule["expr"])) | {"le"}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept, rule["alert"]


def test_the_page_lists_every_metric() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `flowq_")]
    found = [(row[0].strip("`"), row[1], tuple(re.findall(r"`(\w+)`", row[2])), row[3]) for row in rows]
    assert found == [(item.name, item.kind, item.labels, item.meaning) for item in FAMILIES]


@pytest.mark.parametrize("arguments", list(commands()), ids=" ".join)
def test_commands_parse(arguments: list[str], tmp_path: Path) -> None:
    found = parsed(arguments, tmp_path)
    if arguments[0] == "serve":
        assert read_place(found["page"].metrics)[1] == 9464 if "page" in found else read_place(found["metrics"])[1] == 9464


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_units(path: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    parser = unit(path)
    parser["Service"]["ExecStart"] = (
        f"{sys.executable} {parser['Service']['ExecStart'].partition(' ')[2]}"  # a program that is here
    )
    del parser["Service"]["User"]
    copy = tmp_path / path.name
    with copy.open("w") as file:
        parser.write(file, space_around_delimiters=False)
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_kustomize_builds_the_manifests() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert sorted(document["kind"] for document in built) == sorted(document["kind"] for document in MANIFESTS)
    assert {document["metadata"]["namespace"] for document in built} == {"flowq"}


def test_parts_of_the_manifests_fit_together() -> None:
    labels = {}
    for document in of_kind("Deployment"):
        spec = document["spec"]
        pod = labels[document["metadata"]["name"]] = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= pod.items()
        volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
        for container in spec["template"]["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
            for probe in (container[name]["httpGet"] for name in ("livenessProbe", "readinessProbe") if name in container):
                assert probe["port"] in ports
                assert probe["path"] in {route.path for route in ROUTES if not route.role}
                assert f"https://{probe['httpHeaders'][0]['value']}" in container["args"]
            for port in ports.values():
                assert str(port) in re.findall(r"\d+", " ".join(container["args"]))
            assert {item["valueFrom"]["secretKeyRef"]["key"] for item in container["env"] if "valueFrom" in item} == {
                "url",
                "key",
            }
    (service,) = of_kind("Service")
    assert service["spec"]["selector"] == labels["flowq-serve"]
    (scaled,) = of_kind("ScaledObject")
    assert scaled["spec"]["scaleTargetRef"]["name"] in labels
    (policy,) = of_kind("NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"] == labels["flowq-serve"]


def test_the_scale_is_that_of_the_slots() -> None:
    (worker,) = [item for item in containers() if item["args"][0] == "worker"]
    (scaled,) = of_kind("ScaledObject")
    assert scaled["spec"]["triggers"][0]["metadata"]["threshold"] == worker["args"][worker["args"].index("-c") + 1]


def test_parts_of_the_compose_file_fit_together() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"valkey", "serve", "worker", "prometheus"}
    assert services["worker"]["deploy"]["replicas"] == 2
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or source == "./flows" or (DEPLOY / source).exists(), source
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == "serve:9464"
    assert scraped["rule_files"] == ["rules.yaml"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
