"""Params, files of params, environment and dotenv; defaults, templates and anchors; inherited variables."""

from flowq.compiler import compile_file
from tests.language.lab import DATE, Lab, Started, plan_of

ENVIRONMENT = "call: 'language_jobs:environment', args: [PLAIN, QUOTED, LEVEL, OWN]"


def files(lab: Lab, **texts: str) -> None:
    for name, text in texts.items():
        (lab.directory / name.replace("__", ".")).write_text(text)


def run_file(lab: Lab, **more: object) -> Started:
    compiled = compile_file(lab.directory / "flow.yaml", date=DATE, **more)  # type: ignore[arg-type]
    return lab.submit(plan_of(compiled)).ended()


def test_params_of_every_type_arrive(lab: Lab) -> None:
    files(
        lab,
        flow__yaml="""
        params:
          s: {}
          n: {type: number}
          i: {type: integer}
          b: {type: boolean}
          d: {type: date, default: "${{ run.date }}"}
          t: {type: datetime}
          u: {type: duration}
          l: {type: list}
          m: {type: map}
          none: {required: false}
        jobs:
          a: {call: 'language_jobs:give', args: ["${{ params }}"]}
        """,
        params__yaml="s: file\nn: 1.5\ni: 3\nb: true\nt: 2026-01-31T06:00:00Z\nu: 5m\nl: [1, a]\nm: {k: [null]}\n",
    )
    run = run_file(lab, params_file=lab.directory / "params.yaml", params={"s": "given", "i": "4"})
    assert run.result("a") == {
        "s": "given", "n": 1.5, "i": 4, "b": True, "d": DATE, "t": "2026-01-31T06:00:00Z", "u": "5m", "l": [1, "a"],
        "m": {"k": [None]}, "none": None,
    }  # fmt: skip


def test_a_job_overrides_the_flow_and_the_flow_overrides_dotenv(lab: Lab) -> None:
    files(
        lab,
        one__env="PLAIN=file\nQUOTED='a # b'\nLEVEL=file\nOWN=file\n",
        flow__yaml=f"""
        dotenv: [one.env, "absent.env?"]
        env: {{LEVEL: flow, OWN: flow}}
        jobs:
          a: {{env: {{OWN: job}}, {ENVIRONMENT}}}
          b: {{run: 'echo "seen=$PLAIN-$LEVEL" >> "$FLOWQ_OUTPUT"', if: "env.PLAIN == 'file' && env.LEVEL == 'flow'"}}
        """,
    )
    run = run_file(lab)
    assert run.result("a") == {"PLAIN": "file", "QUOTED": "a # b", "LEVEL": "flow", "OWN": "job"}
    assert run.result("b") == {"seen": "file-flow"}


def test_the_file_of_variables_is_read_when_the_flow_is_compiled(lab: Lab) -> None:
    files(lab, one__env="PLAIN=before\n", flow__yaml=f"dotenv: one.env\njobs: {{a: {{{ENVIRONMENT}}}}}\n")
    plan = plan_of(compile_file(lab.directory / "flow.yaml"))
    (lab.directory / "one.env").write_text("PLAIN=after\n")
    found = lab.submit(plan).ended().result("a")
    assert isinstance(found, dict)
    assert found["PLAIN"] == "before"


def test_variables_that_a_job_inherits(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          call: {call: 'language_jobs:environment', args: [PATH, FLOWQ_REDIS_URL, FLOWQ_SECRET_KEY, FLOWQ_JOB_NAME]}
          run: {run: 'echo "path=$PATH" >> $FLOWQ_OUTPUT; echo "url=${FLOWQ_REDIS_URL:-none}" >> $FLOWQ_OUTPUT'}
        """
    )
    found = run.result("call")
    assert isinstance(found, dict)
    assert found["PATH"]
    assert found["FLOWQ_SECRET_KEY"] is None
    assert found["FLOWQ_JOB_NAME"] == "call"
    shell = run.result("run")
    assert isinstance(shell, dict)
    assert shell["path"] == found["PATH"]
    assert shell["url"] == "none"


def test_defaults_templates_and_anchors(lab: Lab) -> None:
    run = lab.run(
        """
        defaults: {queue: cpu, env: {LEVEL: default, PLAIN: default}}
        templates:
          base: {env: {LEVEL: base, OWN: base}}
          more: {extends: base, env: {OWN: more}, queue: default}
        jobs:
          a: &a {extends: more, env: {QUOTED: own}, call: 'language_jobs:environment', args: [PLAIN, QUOTED, LEVEL, OWN]}
          b: {<<: *a, extends: base}
          c: {call: 'language_jobs:environment', args: [PLAIN, QUOTED, LEVEL, OWN]}
        """
    )
    assert run.result("a") == {"PLAIN": "default", "LEVEL": "base", "OWN": "more", "QUOTED": "own"}
    assert run.result("b") == {"PLAIN": "default", "LEVEL": "base", "OWN": "base", "QUOTED": "own"}
    assert run.result("c") == {"PLAIN": "default", "LEVEL": "default", "OWN": None, "QUOTED": None}
    assert {job.name: job.queue for job in run.view.jobs} == {"a": "default", "b": "cpu", "c": "cpu"}
