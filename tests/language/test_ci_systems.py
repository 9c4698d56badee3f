"""Files of other systems, translated to flows: they run, behave like the original, and have its graph."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowq.compiler import compile_file
from flowq.plan import Json, Plan
from tests.language.lab import DATE, Lab, Started, plan_of
from tests.support.edges import edges, renamed

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ROOT / "examples" / "flows" / "ci-systems"
CORPORA = Path(os.environ.get("FLOWQ_CORPORA") or ROOT.parent / "shared" / "corpora")


def run(lab: Lab, name: str, **params: Json) -> Started:
    return lab.start_file(FLOWS / f"{name}.yaml", params).ended()


def compiled(name: str) -> Plan:
    return plan_of(compile_file(FLOWS / f"{name}.yaml", date=DATE))


def statuses(run: Started) -> dict[str, str]:
    return {name: state.partition("/")[0] for name, state in run.states().items()}


def original(path: str) -> Path:
    """Return a file of the corpora; skip the test if they are absent."""
    found = CORPORA / path
    if not found.exists():
        pytest.skip(f"{found} is not there; FLOWQ_CORPORA names the folder of the corpora")
    return found


def read(path: str) -> Any:
    return next(iter(yaml.safe_load_all(original(path).read_text(encoding="utf-8"))))


# -- behaviour -------------------------------------------------------------------------------------------------------------


def test_every_flow_names_its_source_and_the_corresponding_features() -> None:
    for path in FLOWS.glob("*.yaml"):
        head = path.read_text(encoding="utf-8").split("\nname:")[0]
        assert re.search(r"\((MIT|BSD-3|Apache-2\.0)\)", head), path
        assert re.search(r"^#   \S.* here$", head, re.MULTILINE), path


def test_gitlab_wayland(lab: Lab) -> None:
    found = run(lab, "gitlab-wayland")
    assert set(found.states().values()) == {"finished"}
    assert found.job("aarch64-debian-build").queue == "aarch64"
    assert "prefix-wayland-x86_64-release-debian-build -Dbuildtype=release .." in found.log("x86_64-release-debian-build")
    assert "image freebsd/x86_64:2021-08-05.0" in found.log("x86_64-freebsd-container_prep")
    assert found.log("x86_64-freebsd-build").split("\n")[-2] == "vmctl stop"


def test_gitlab_wayland_outside_of_a_merge_request(lab: Lab) -> None:
    found = run(lab, "gitlab-wayland", merge_request=False)
    assert found.status == "finished"
    assert found.states()["check-commit"] == "skipped/if_false"
    assert sum(status == "finished" for status in statuses(found).values()) == 12


@pytest.mark.slow
def test_gitlab_mesa(lab: Lab) -> None:
    found = run(lab, "gitlab-mesa")
    assert list(found.states().values()) == ["finished"] * 276
    assert found.log("iris-jsl-deqp[part=8]") == "deqp-runner --jobs 4 iris-jsl-deqp[part=8]\n"


@pytest.mark.parametrize(("event", "skipped"), [("pull_request", 0), ("push", 7)])
def test_github_numpy(lab: Lab, event: str, skipped: int) -> None:
    found = run(lab, "github-numpy", event=event, ref=f"branch-of-{event}")
    assert found.status == "finished"
    assert sum(status == "skipped" for status in statuses(found).values()) == skipped
    assert found.result("smoke_test")[4] == {"wheel": "numpy-3.14t.whl"}


def test_argo_depends(lab: Lab) -> None:
    found = run(lab, "argo-depends")
    assert found.status == "failed"
    assert statuses(found) == {
        **dict.fromkeys(["A", "B", "should-execute-1", "should-execute-2", "should-execute-3"], "finished"),
        "C": "failed",
        "should-not-execute": "skipped",
    }


@pytest.mark.parametrize("side", ["heads", "tails", "toss"])
def test_argo_coin(lab: Lab, side: str) -> None:
    found = run(lab, "argo-coin", side=side)
    fell = found.result("flip-coin")["side"]
    assert side in {fell, "toss"}
    assert found.result("result") == {"said": fell}
    other = "tails" if fell == "heads" else "heads"
    assert found.states()[other] == "skipped/if_false"


@pytest.mark.parametrize("parts", [0, 1, 5])
def test_argo_map_reduce(lab: Lab, parts: int) -> None:
    found = run(lab, "argo-map-reduce", parts=parts)
    assert found.status == "finished"
    assert found.result("map") == [{"bar": 2 * number} for number in range(1, parts + 1)]
    assert found.result("reduce") == {"total": parts * (parts + 1)}
    assert not list((lab.directory / "out" / "map-reduce").iterdir())


def test_argo_exit_handlers(lab: Lab) -> None:
    found = run(lab, "argo-exit-handlers")
    assert (found.status, statuses(found)["on_failure/cry"], statuses(found)["on_success/celebrate"]) == (
        "failed",
        "finished",
        "skipped",
    )
    assert "argo-exit-handlers failed. Failed steps: intentional-fail" in found.log("on_exit/notify")
    found = run(lab, "argo-exit-handlers", fail=False)
    assert (found.status, statuses(found)["on_failure/cry"], statuses(found)["on_success/celebrate"]) == (
        "finished",
        "skipped",
        "finished",
    )


def test_argo_suspend(lab: Lab) -> None:
    found = lab.start_file(FLOWS / "argo-suspend.yaml", {"pause": "0.1s"})
    asked = found.until_job("approve", "deferred/approval")
    assert asked.approval is not None
    assert asked.approval.message == f"Release the build of run {found.id}?"
    lab.store.jobs.approve(asked.id, b"{}", by="ann")
    assert set(found.ended().states().values()) == {"finished"}


def test_tekton_matrix(lab: Lab) -> None:
    found = run(lab, "tekton-matrix")
    lines = {found.log(job.name).strip() for job in found.view.jobs}
    package = "package? path/to/common/package/"
    assert lines == {
        *(f"{arch} and go1.17 flags?  context? path/to/go117/context {package}" for arch in ("linux/amd64", "linux/ppc64le")),
        *(f"{arch} and go1.18.1 flags?  context?  {package}" for arch in ("linux/amd64", "linux/ppc64le")),
        f"linux/s390x and go1.17 flags? -cover -v context? path/to/go117/context {package}",
        f"linux/s390x and go1.18.1 flags? -cover -v context?  {package}",
        "I-do-not-exist and  flags?  context?  package?",
    }


def test_kestra_finally(lab: Lab) -> None:
    found = run(lab, "kestra-finally")
    assert found.status == "finished"
    assert [name for name, status in statuses(found).items() if status == "skipped"] == ["ko", "on_failure/e1", "on_failure/e2"]
    found = run(lab, "kestra-finally", failed=True)
    assert found.status == "failed"
    assert [name for name, status in statuses(found).items() if status != "finished"] == ["ok", "ko"]


def test_circleci_prometheus(lab: Lab) -> None:
    assert run(lab, "circleci-prometheus").states() == {"noopjob": "finished"}


def cached(run: Started) -> dict[str, bool]:
    return {job.name: job.cache.hit for job in run.view.jobs if job.cache is not None}


def test_taskfile(lab: Lab) -> None:
    kept = {"install", "install-mockery", "generate", "lint", "sleepit-build", "yarn-install"}
    first = run(lab, "taskfile")
    assert set(first.states().values()) == {"finished"}
    assert cached(first) == dict.fromkeys(kept, False)
    assert cached(run(lab, "taskfile")) == dict.fromkeys(kept, True)
    tree = lab.directory / "out" / "taskfile"
    (tree / "cmd" / "sleepit" / "sleepit.go").write_text("package sleepit // changed\n")
    third = run(lab, "taskfile")
    assert {name for name, hit in cached(third).items() if not hit} == {"install", "lint", "sleepit-build"}
    assert third.job("lint").cache is not None
    assert third.job("lint").cache.reason == "inputs changed: cmd/sleepit/sleepit.go"  # type: ignore[union-attr]
    (tree / "bin" / "mockery").unlink()
    fourth = run(lab, "taskfile", mockery="v3")
    assert {name for name, hit in cached(fourth).items() if not hit} == {"install-mockery"}
    assert (tree / "bin" / "mockery").read_text() == "mockery v3\n"


# -- the graph of the original ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "graph"), [("gitlab-wayland", "wayland.gitlab-ci"), ("gitlab-mesa", "mesa-full"), ("github-numpy", "numpy.linux")]
)
def test_the_graph_is_that_of_the_pipeline(name: str, graph: str) -> None:
    jobs = json.loads(original(f"ci-graphs/{graph}.json").read_text(encoding="utf-8"))["jobs"]
    assert edges(compiled(name)) == {job["id"]: set(job["deps"]) for job in jobs}


def argo_tasks(path: str) -> list[dict[str, Any]]:
    for template in read(path)["spec"]["templates"]:
        if "dag" in template:
            return list(template["dag"]["tasks"])
    raise AssertionError(f"{path} has no dag")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("argo-depends", "dag-enhanced-depends"),
        ("argo-map-reduce", "map-reduce"),
        ("argo-coin", "dag-conditional-parameters"),
    ],
)
def test_the_graph_is_that_of_the_dag(name: str, path: str) -> None:
    tasks = argo_tasks(f"yaml/argo-workflows/{path}.yaml")
    expected = {
        task["name"]: set(re.findall(r"[A-Za-z][\w-]*", re.sub(r"\.\w+", "", task.get("depends", "")))) for task in tasks
    }
    found = edges(compiled(name))
    found.pop("result", None)  # of the coin: in the original it comes from the outputs
    assert found == expected


def test_the_graph_is_that_of_the_steps() -> None:
    (template,) = [item for item in read("yaml/argo-workflows/suspend-template.yaml")["spec"]["templates"] if "steps" in item]
    steps = [group[0]["name"] for group in template["steps"]]
    assert steps == ["build", "approve", "delay", "release"]
    assert edges(compiled("argo-suspend")) == {"build": set(), "approve": {"build"}, "release": {"approve"}}, "`delay` is a key"


def test_the_cells_are_those_of_the_matrix() -> None:
    documents = list(
        yaml.safe_load_all(original("yaml/tekton/pipelinerun-with-matrix-include.yaml").read_text(encoding="utf-8"))
    )
    matrix = documents[1]["spec"]["pipelineSpec"]["tasks"][0]["matrix"]
    node = yaml.safe_load((FLOWS / "tekton-matrix.yaml").read_text(encoding="utf-8"))["jobs"]["matrix-include"]["matrix"]
    assert {axis["name"]: axis["value"] for axis in matrix["params"]} == {key: node[key] for key in node if key != "include"}
    assert [{param["name"]: param["value"] for param in item["params"]} for item in matrix["include"]] == node["include"]


def test_the_graph_is_that_of_kestra() -> None:
    (dag,) = read("yaml/kestra/finally-dag.yaml")["tasks"]
    expected = {item["task"]["id"]: set(item.get("dependsOn", ())) for item in dag["tasks"]}
    found = edges(compiled("kestra-finally"))
    assert found["ok"] == found.pop("ko"), "the two branches of t3"
    assert renamed(found, {"ok": "t3"}) == expected
    plan = compiled("kestra-finally")
    for section, key in (("on_failure", "errors"), ("on_exit", "finally")):
        names = [f"{section}/{item['id']}" for item in dag[key]]
        assert [cell.name for cell in plan.jobs() if cell.name.startswith(section)] == names


def test_the_graph_is_that_of_the_taskfiles() -> None:
    tasks = read("yaml/taskfile/go-task/Taskfile.yml")["tasks"]
    docs = read("yaml/taskfile/go-task/docs/Taskfile.yml")["tasks"]
    names = {name: name.replace(":", "-") for name in (*tasks, *docs)}
    expected = {name: set(task.get("deps", ())) for name, task in tasks.items()}
    expected["default"] = {step["task"] for step in tasks["default"]["cmds"]}
    expected |= {"docs-build": set(docs["build"]["deps"]), "yarn:install": set()}
    expected = renamed(expected, names)
    found = {name: parents - {"checkout"} for name, parents in edges(compiled("taskfile")).items() if name != "checkout"}
    assert found == {name: expected[name] for name in found}
    made = {name: (task.get("sources"), task.get("generates")) for name, task in tasks.items()}
    assert made["generate"] == (["internal/fingerprint/checker.go"], ["internal/mocks/*.go"])


def test_the_handlers_are_those_of_the_exit_handler() -> None:
    templates = read("yaml/argo-workflows/exit-handlers.yaml")["spec"]["templates"]
    (steps,) = [template["steps"] for template in templates if template["name"] == "exit-handler"]
    cells = [cell.name.partition("/")[2] for cell in compiled("argo-exit-handlers").jobs() if cell.phase]
    assert sorted(cells) == sorted(step["name"] for step in steps[0])
