"""What a flow makes the compiler open: files below the project's root, links resolved, and nothing of another kind of file is quoted."""

import os
import socket
from pathlib import Path

import pytest

from flowq.compiler import Compilation, compile_file, compile_text, render

SECRET = "hunter2 is the password"
FLOW = "jobs: {a: {run: 'true'}}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project beside files that are none of its business."""
    outside, inside = tmp_path / "outside", tmp_path / "project"
    for folder in (outside, inside / "flows"):
        folder.mkdir(parents=True)
    (inside / "flowq.toml").touch()
    (outside / "secret.env").write_text(f"{SECRET}\n")
    (outside / "secret.yaml").write_text(f"jobs:\n  - {SECRET}\n")
    (inside / "parts.yaml").write_text(FLOW)
    (inside / "ok.env").write_text("A=1\n")
    (inside / "flows" / "link.yaml").symlink_to(outside / "secret.yaml")
    (inside / "flows" / "link.env").symlink_to(outside / "secret.env")
    (inside / "flows" / "folder").symlink_to(outside)
    (inside / "flows" / "inner.yaml").symlink_to(inside / "parts.yaml")
    monkeypatch.chdir(inside)
    return inside


def compiled(project: Path, text: str, **more: str) -> tuple[Compilation, str]:
    (project / "flows" / "flow.yaml").write_text(text)
    found = compile_file("flows/flow.yaml", root=more.get("root"))
    return found, "\n".join(map(render, found.diagnostics))


PATHS = [
    "/etc/passwd",
    "../../outside/secret{}",
    "{outside}/secret{}",
    "link{}",
    "folder/secret{}",
    "../flows/../../outside/secret{}",
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/environ",
    "/nowhere/at/all",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["flow", "dotenv", "optional"])
def test_what_lies_outside_is_not_opened(project: Path, key: str, path: str) -> None:
    ending = ".yaml" if key == "flow" else ".env"
    given = path.replace("{outside}", str(project.parent / "outside")).replace("{}", ending)
    text = (
        f"jobs: {{a: {{flow: '{given}'}}}}"
        if key == "flow"
        else f"dotenv: ['{given}{'?' if key == 'optional' else ''}']\n{FLOW}"
    )
    found, shown = compiled(project, text)
    assert [item.code for item in found.diagnostics] == ["FQ311" if key == "flow" else "FQ021"]
    assert f"it lies outside the root of the project, {project}" in shown
    assert "--root" in shown
    assert "hunter2" not in shown
    assert "no such file" not in shown, "whether it exists is not told"


@pytest.mark.parametrize("path", ["/", "../..", "folder", "{outside}"])
def test_files_from_outside_do_not_travel(project: Path, path: str) -> None:
    given = path.replace("{outside}", str(project.parent / "outside"))
    _found, said = compiled(project, f"code: ship\nbundle: {{root: '{given}'}}\n{FLOW}")
    assert "FQ103" in said
    assert f"lies outside the root of the project, {project}" in said
    found, _said = compiled(project, f"code: ship\nbundle: {{root: ..}}\n{FLOW}")
    assert found.plan is not None
    assert found.plan.shipment is not None
    assert found.plan.shipment.root == str(project)


def test_what_lies_below_the_root_is_used(project: Path) -> None:
    text = "dotenv: [../ok.env, absent.env?]\njobs: {a: {flow: ../parts.yaml}, b: {flow: inner.yaml}, c: {flow: ../flows/../parts.yaml}}"
    found, shown = compiled(project, text)
    assert found.ok, shown
    (project / "flows" / "deep").mkdir()
    (project / "flows" / "deep" / "flow.yaml").write_text("jobs: {a: {flow: ../../parts.yaml}}")
    assert compiled(project, "jobs: {a: {flow: deep/flow.yaml}}")[0].ok, "a sub-flow has the root of the flow that is run"


@pytest.mark.parametrize("mark", ["flowq.toml", ".git", None])
def test_the_root_is_the_nearest_directory_that_is_marked(tmp_path: Path, mark: str | None) -> None:
    flows = tmp_path / "a" / "b"
    flows.mkdir(parents=True)
    (tmp_path / "shared.yaml").write_text(FLOW)
    (tmp_path / "a" / "near.yaml").write_text(FLOW)
    if mark is not None:
        (tmp_path / "a" / mark).touch()
    far, near = (
        compile_text(f"jobs: {{a: {{flow: {path}}}}}", file=str(flows / "flow.yaml"))
        for path in ("../../shared.yaml", "../near.yaml")
    )
    assert not far.ok
    assert near.ok is (mark is not None)
    (flows / "flow.yaml").write_text("jobs: {a: {flow: ../../shared.yaml}}")
    assert compile_file(flows / "flow.yaml", root=tmp_path).ok
    (tmp_path / "link").symlink_to(tmp_path)
    assert compile_file(flows / "flow.yaml", root=tmp_path / "link").ok, "the root is resolved too"


@pytest.mark.parametrize("kind", ["pipe", "directory", "socket", "device"])
def test_what_is_no_file_is_not_read(project: Path, kind: str) -> None:
    name = project / "flows" / f"{kind}.yaml"
    if kind == "pipe":
        os.mkfifo(name)
    elif kind == "directory":
        name.mkdir()
    elif kind == "socket":
        os.chdir(name.parent)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(name.name)
        os.chdir(project)
    else:
        name.symlink_to("/dev/zero")
    for text in (f"jobs: {{a: {{flow: {kind}.yaml}}}}", f"dotenv: [{kind}.yaml]\n{FLOW}"):
        found, shown = compiled(project, text, root="/")
        assert not found.ok
        assert ("this is a directory" if kind == "directory" else "this is not a regular file") in shown


def test_only_lines_of_flow_files_are_quoted(project: Path) -> None:
    for line in (f"NAME {SECRET}", "my key=hunter2", "A='hunter2", "FLOWQ_X=hunter2", "A=hunter2\x01"):
        (project / "flows" / "wrong.env").write_text(f"B=1\n{line}\n")
        found, shown = compiled(project, f"dotenv: wrong.env\n{FLOW}")
        assert "hunter2" not in shown
        assert [(item.file, item.line) for item in found.diagnostics] == [("flows/wrong.env", 2)], "but its place is told"
    _, shown = compiled(project, "jobs: {a: {flow: wrong.env}}")
    assert "hunter2" not in shown
    (project / "flows" / "part.yaml").write_text("jobs:\n  work: {runn: x}\n")
    assert "  work: {runn: x}" in compiled(project, "jobs: {a: {flow: part.yaml}}")[1], "a flow file is quoted"
    (project / "values.yaml").write_text("n: hunter2 hunter2\n")
    (project / "flows" / "flow.yaml").write_text(f"params: {{n: {{type: integer}}}}\n{FLOW}")
    shown = "\n".join(map(render, compile_file("flows/flow.yaml", params_file="values.yaml").diagnostics))
    assert "values.yaml:1" in shown
    assert "1 | n:" not in shown


HIDDEN = [
    "root: hunter2\n",
    "n: hunter2\n",
    "n: [hunter2]\nn: hunter2\n",
    "hunter2\n",
    "n: !hunter2 x\n",
    "n: *hunter2\n",
    "n: 0xhunter2: ${{ hunter2 }}\n",
    "<<: hunter2\n",
    "hunter2: {hunter2\n",
    '"hunter2": 1\n',
    "hunter2:hunter2:1:2:::\nother: hunter2\n",
    "n: 5\nhunter2: x\x01\n",
    "jobs: {hunter2: {run: x, hunter2: 2}}\nhunter2: 1\n",
    "params: {hunter2: {type: hunter2}}\njobs: {a: {run: '${{ params.hunter }} ${{ hunter2 }}', depends_on: hunter2}}\n",
    "name: hunter2\njobs: {a: {run: 'echo $(${{ jobs.hunter2.result }})', queue: 'hunter2 x'}}\n",
]


@pytest.mark.parametrize("text", HIDDEN)
@pytest.mark.parametrize("way", ["no ending", "outside", "link", "hidden link"])
def test_nothing_of_another_file_is_quoted(project: Path, text: str, way: str) -> None:
    """Given as params or as the flow itself: its diagnostics have the place, and words of flowq's own."""
    outside = project.parent / "outside" / "values.yaml"
    (project / "values").write_text(text)
    outside.write_text(text)
    (project / "link.yaml").symlink_to(outside)
    (project / "hidden.yaml").symlink_to(project / "values")
    name = {"no ending": "values", "outside": str(outside), "link": "link.yaml", "hidden link": "hidden.yaml"}[way]
    (project / "flows" / "flow.yaml").write_text(f"params: {{n: {{type: integer, maximum: 4}}}}\n{FLOW}")
    for found in (compile_file("flows/flow.yaml", params_file=name), *(() if way == "outside" else (compile_file(name),))):
        shown = "\n".join(map(render, found.diagnostics))
        assert not found.ok
        assert "hunter2" not in shown
        assert name in {item.file for item in found.diagnostics}
        assert "--root names another" in shown
    assert not any("hunter2" in item.message for item in compile_file("flows/flow.yaml", params_file=name).diagnostics)


def test_a_link_to_a_flow_is_run_and_quoted_with_its_root(project: Path) -> None:
    outside = project.parent / "outside" / "real.yaml"
    outside.write_text(FLOW)
    (project / "link.yaml").symlink_to(outside)
    assert compile_file("link.yaml").ok, "it is the file that the user named"
    outside.write_text("jobs: {a: {runn: x}}\n")
    plain, rooted = (
        "\n".join(map(render, compile_file("link.yaml", root=root).diagnostics)) for root in (None, project.parent)
    )
    assert plain.startswith("link.yaml:1:12: error[FQ101]: a problem: docs/errors.md explains FQ101")
    assert "runn" not in plain
    assert "1 | jobs: {a: {runn: x}}" in rooted


def test_params_of_the_project_are_named(project: Path) -> None:
    (project / "flows" / "flow.yaml").write_text(f"params: {{region: {{enum: [eu]}}}}\n{FLOW}")
    (project / "values.yaml").write_text("regoin: eu\nregion: mars\n")
    shown = "\n".join(map(render, compile_file("flows/flow.yaml", params_file="values.yaml").diagnostics))
    assert "there is no param `regoin`" in shown
    assert "mars is not allowed" in shown
    (project / "values.yaml").rename(project.parent / "values.yaml")
    shown = "\n".join(map(render, compile_file("flows/flow.yaml", params_file="../values.yaml").diagnostics))
    assert "did you mean region?" in shown, "the flow's own names are told"
    assert "mars" not in shown
