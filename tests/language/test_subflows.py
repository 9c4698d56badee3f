"""Sub-flows."""

from pathlib import Path

from flowq.compiler import compile_file
from flowq.flows.actions.retry import plan_retry
from tests.language.lab import FLOWS, Lab, Started


def test_params_in_and_outputs_out(lab: Lab) -> None:
    run = lab.run(
        """
        params: {days: {type: list, default: [mon, tue]}}
        env: {WORD: outer}
        jobs:
          list: {call: 'language_jobs:give', args: [outer]}
          part: {depends_on: list, flow: parts/backfill.yaml, params: {days: "${{ params.days }}"}}
          use: {depends_on: part, call: 'language_jobs:give', args: ["${{ jobs.part.result }}"]}
          status: {depends_on: part, call: 'language_jobs:give', args: ["${{ jobs.part.status }}"]}
        """
    )
    assert run.states() == dict.fromkeys(["list", "part/list", "part/load[0]", "part/load[1]", "use", "status"], "finished")
    assert run.result("use") == {
        "total": ["rows of mon in part/load[0]", "rows of tue in part/load[1]"], "word": "rows",
    }  # fmt: skip
    assert run.result("status") == "finished"
    assert run.result("part/load") == ["rows of mon in part/load[0]", "rows of tue in part/load[1]"]
    assert run.job("part/list").queue == "cpu", "the defaults of its own file"


def test_the_same_flow_twice_and_a_flow_in_a_flow(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {flow: parts/backfill.yaml, params: {days: [x], word: one}}
          b: {flow: ./parts/nested.yaml}
          c: {depends_on: [a, b], call: 'language_jobs:give', args: [["${{ jobs.a.result.total }}", "${{ jobs.b.result.text }}"]]}
        """
    )
    assert run.result("c") == [["one of x in a/load[0]"], "deep of mon in b/inner/load[0]"]


def test_all_jobs_of_a_skipped_sub_flow_are_skipped(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {if: false, flow: parts/nested.yaml}
          b: {depends_on: {a: skipped}, run: 'true'}
          c: {depends_on: a, run: 'true'}
          d: {depends_on: {a: ok}, call: 'language_jobs:give', args: ["${{ jobs.a.result.text ?? 'nothing' }}"]}
        """
    )
    states = run.states()
    assert {state for name, state in states.items() if name.startswith("a/")} == {"skipped/upstream_skipped"}
    assert {name: states[name] for name in "bcd"} == {"b": "finished", "c": "skipped/upstream_skipped", "d": "finished"}
    assert run.result("d") == "nothing"
    assert run.status == "finished"


def test_a_sub_flow_waits_for_the_dependencies_of_its_job(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          bad: {run: exit 1}
          part: {depends_on: bad, flow: parts/backfill.yaml, params: {days: [x]}}
          after: {depends_on: {part: done}, run: 'true'}
          fixed: {depends_on: {bad: failure}, flow: parts/backfill.yaml, params: {days: [x]}}
        """
    )
    states = run.states()
    assert states["part/list"].startswith("skipped/")
    assert states["after"] == "finished"
    assert states["fixed/load[0]"] == "finished"


def test_a_failure_inside_fails_the_sub_flow_and_a_retry_repeats_only_failed_jobs(lab: Lab) -> None:
    (lab.directory / "part.yaml").write_text(
        """
        outputs: {n: "${{ jobs.two.result }}"}
        jobs:
          one: {call: 'language_jobs:fail_until', args: [one, 0]}
          two: {depends_on: one, call: 'language_jobs:fail_until', args: [two, 1]}
        """
    )
    (lab.directory / "flow.yaml").write_text(
        """
        jobs:
          part: {flow: part.yaml}
          use: {depends_on: part, call: 'language_jobs:give', args: ["${{ jobs.part.result.n }}"]}
          repair: {depends_on: {part: failure}, run: 'true'}
        """
    )
    run = lab.start_file(lab.directory / "flow.yaml").ended()
    assert run.states() == {
        "part/one": "finished", "part/two": "failed/error", "use": "skipped/upstream_failed", "repair": "finished",
    }  # fmt: skip
    run.retry().ended()
    assert run.status == "finished"
    assert run.states()["repair"] == "skipped/upstream_finished"
    assert run.result("use") == 2
    assert (lab.directory / "one").read_text() == "x\n", "a finished job of the part keeps its result"


def test_an_error_names_the_line_of_its_own_file(lab: Lab) -> None:
    (lab.directory / "part.yaml").write_text(
        "jobs:\n  a: {run: 'true'}\n  b: {depends_on: a, if: jobs.a.result.x == 1, run: x}\n"
    )
    (lab.directory / "flow.yaml").write_text("jobs: {part: {flow: part.yaml}}")
    run = lab.start_file(lab.directory / "flow.yaml").ended()
    assert f"{lab.directory / 'part.yaml'}:3: job part/b: if: " in (run.job("part/b").error or "")


def test_modules_are_found_beside_the_file_of_the_sub_flow(lab: Lab) -> None:
    (lab.directory / "deep").mkdir()
    (lab.directory / "deep" / "only_here.py").write_text("def answer():\n    return 42\n")
    (lab.directory / "deep" / "part.yaml").write_text("jobs: {a: {call: 'only_here:answer'}}")
    (lab.directory / "flow.yaml").write_text("jobs: {part: {flow: deep/part.yaml}}")
    run = lab.start_file(lab.directory / "flow.yaml").ended()
    assert run.result("part/a") == 42


def test_a_sub_flow_can_be_run_alone(lab: Lab) -> None:
    compiled = compile_file(FLOWS / "parts" / "backfill.yaml", params={"days": ["x"]})
    assert compiled.plan is not None
    assert lab.submit(compiled.plan).ended().result("load") == ["rows of x in load[0]"]


DEPLOY = """
params:
  env: {enum: [eu, us, ap]}
  hosts: {type: list, default: [one, two]}
outputs: {url: "https://${{ params.env }}.example", hosts: "${{ jobs.host.result }}"}
jobs:
  migrate: {call: 'language_jobs:fail_until', args: ["${{ params.env }}", "${{ params.env == 'us' ? 1 : 0 }}"]}
  host: {depends_on: migrate, matrix: {name: "${{ params.hosts }}"}, call: 'language_jobs:give', args: ["${{ matrix.name }} of ${{ params.env }}"]}
"""


def deploy(lab: Lab, text: str) -> Started:
    (lab.directory / "deploy.yaml").write_text(DEPLOY)
    (lab.directory / "flow.yaml").write_text(text)
    return lab.start_file(lab.directory / "flow.yaml").ended()


def test_a_flow_for_each_cell_of_a_matrix(lab: Lab) -> None:
    run = deploy(
        lab,
        """
        params: {envs: {type: list, default: [eu, ap]}}
        jobs:
          build: {run: 'true'}
          deploy:
            depends_on: build
            matrix: {env: "${{ params.envs }}", include: [{env: eu, hosts: [main]}]}
            flow: deploy.yaml
            params: {env: "${{ matrix.env }}", hosts: "${{ matrix.hosts ?? ['spare'] }}"}
          use: {depends_on: deploy, call: 'language_jobs:give', args: ["${{ jobs.deploy.result }}"]}
          urls: {depends_on: deploy, call: 'language_jobs:give', args: ["${{ jobs.deploy.result[*].url }}"]}
          status: {depends_on: deploy, call: 'language_jobs:give', args: ["${{ jobs.deploy.status }}"]}
        """,
    )
    assert run.states() == dict.fromkeys(
        [
            "build", 'deploy[env=eu,hosts=["main"]]/migrate', 'deploy[env=eu,hosts=["main"]]/host[name=main]',
            "deploy[env=ap]/migrate", "deploy[env=ap]/host[name=spare]", "use", "urls", "status",
        ],
        "finished",
    )  # fmt: skip
    assert run.result("use") == [
        {"url": "https://eu.example", "hosts": ["main of eu"]}, {"url": "https://ap.example", "hosts": ["spare of ap"]},
    ]  # fmt: skip
    assert run.result("urls") == ["https://eu.example", "https://ap.example"]
    assert run.result("status") == "finished"
    assert run.result("deploy") == run.result("use")
    assert run.result("deploy[env=ap]") == {"url": "https://ap.example", "hosts": ["spare of ap"]}


def test_if_match_and_failure_apply_to_each_cell(lab: Lab) -> None:
    run = deploy(
        lab,
        """
        jobs:
          check: {matrix: {env: [eu, us, ap]}, run: 'true'}
          deploy:
            depends_on: {check: {match: env}}
            matrix: {env: [eu, us, ap]}
            if: matrix.env != 'ap'
            flow: deploy.yaml
            params: {env: "${{ matrix.env }}", hosts: [a]}
          smoke: {depends_on: {deploy: {match: env}}, matrix: {env: [eu, us, ap]}, run: 'true'}
          all: {depends_on: deploy, run: 'true'}
          any: {depends_on: {deploy: done}, call: 'language_jobs:give', args: ["${{ jobs.deploy.result }}"]}
        """,
    )
    states = run.states()
    assert {name: state for name, state in states.items() if not name.startswith("check")} == {
        "deploy[env=eu]/migrate": "finished", "deploy[env=eu]/host[name=a]": "finished",
        "deploy[env=us]/migrate": "failed/error", "deploy[env=us]/host[name=a]": "skipped/upstream_failed",
        "deploy[env=ap]/migrate": "skipped/upstream_skipped", "deploy[env=ap]/host[name=a]": "skipped/upstream_skipped",
        "smoke[env=eu]": "finished", "smoke[env=us]": "skipped/upstream_failed", "smoke[env=ap]": "skipped/upstream_skipped",
        "all": "skipped/upstream_failed", "any": "finished",
    }  # fmt: skip
    assert run.result("any") == [{"url": "https://eu.example", "hosts": ["a of eu"]}, None, None]
    assert [name for name, _ in plan_retry(lab.store, run.id).jobs][:2] == [
        "deploy[env=us]/migrate",
        "deploy[env=us]/host[name=a]",
    ]
    run.retry().ended()
    assert run.states()["deploy[env=us]/host[name=a]"] == "finished"
    assert (lab.directory / "eu").read_text() == "x\n", "what finished in the other cells is left alone"
    assert run.states()["all"] == "skipped/upstream_skipped", "one of three is skipped: not all of it succeeded"


def test_a_matrix_of_flows_without_cells_is_an_empty_list(lab: Lab) -> None:
    run = deploy(
        lab,
        """
        params: {envs: {type: list, default: []}}
        jobs:
          deploy: {matrix: {env: "${{ params.envs }}"}, flow: deploy.yaml, params: {env: "${{ matrix.env }}"}}
          use: {depends_on: deploy, call: 'language_jobs:give', args: ["${{ jobs.deploy.result }}"]}
        """,
    )
    assert run.states() == {"deploy": "finished", "use": "finished"}
    assert run.result("use") == []


def test_flows_in_cells_of_flows_in_cells(lab: Lab) -> None:
    (lab.directory / "region.yaml").write_text(
        'params: {env: {}}\noutputs: {all: "${{ jobs.deploy.result[*].url }}"}\njobs:\n'
        "  deploy: {matrix: {n: [1, 2]}, flow: deploy.yaml, params: {env: '${{ params.env }}', hosts: [a]}}\n"
    )
    run = deploy(
        lab,
        """
        jobs:
          region: {matrix: {env: [eu, ap]}, flow: region.yaml, params: {env: "${{ matrix.env }}"}}
          use: {depends_on: region, call: 'language_jobs:give', args: ["${{ jobs.region.result }}"]}
        """,
    )
    assert run.states()["region[env=eu]/deploy[n=2]/migrate"] == "finished"
    assert run.result("use") == [{"all": ["https://eu.example"] * 2}, {"all": ["https://ap.example"] * 2}]


WHERE = """
jobs:
  told: {run: 'echo "a=$FLOWQ_FLOW_DIR" >> "$FLOWQ_OUTPUT"; echo "b=${{ run.flow_dir }}" >> "$FLOWQ_OUTPUT"; echo "c=$PWD" >> "$FLOWQ_OUTPUT"'}
  beside: {workdir: flow, run: 'echo "c=$PWD" >> "$FLOWQ_OUTPUT"'}
  below: {workdir: ./flow, run: 'echo "c=$PWD" >> "$FLOWQ_OUTPUT"'}
  made: {workdir: "${{ run.flow_dir }}/x", run: 'echo "c=$PWD" >> "$FLOWQ_OUTPUT"'}
"""


def test_a_job_knows_the_directory_of_its_flow_file(lab: Lab, tmp_path: Path) -> None:
    for folder in (tmp_path / "sub" / "x", tmp_path / "x", lab.directory / "flow"):
        folder.mkdir(parents=True)
    (tmp_path / "sub" / "inner.yaml").write_text(WHERE)
    (tmp_path / "outer.yaml").write_text(WHERE + "  part: {flow: sub/inner.yaml}\n")
    run = lab.start_file(tmp_path / "outer.yaml").ended()
    assert run.status == "finished", run.states()
    for prefix, folder in (("", tmp_path), ("part/", tmp_path / "sub")):
        assert run.result(f"{prefix}told") == {"a": str(folder), "b": str(folder), "c": str(lab.directory)}
        assert run.result(f"{prefix}beside") == {"c": str(folder)}
        assert run.result(f"{prefix}below") == {"c": str(lab.directory / "flow")}
        assert run.result(f"{prefix}made") == {"c": str(folder / "x")}


def test_a_tilde_is_the_home_directory(lab: Lab) -> None:
    run = lab.run("jobs:\n  a: {workdir: ~/., run: 'test \"$PWD\" -ef ~'}")
    assert run.status == "finished"
