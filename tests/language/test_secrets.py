"""`secrets`: sources, the jobs that get them, and masks."""

from pathlib import Path

from flowq.compiler import compile_file
from flowq.connections.clients import open_client
from flowq.store import Store
from tests.language.guide import VARIABLES
from tests.language.lab import DATE, Lab, Started, plan_of
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess

TOKEN = VARIABLES["SHIPPING_TOKEN"]
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END KEY-----\n"


def run_file(lab: Lab, text: str, **files: str) -> Started:
    for name, content in files.items():
        (lab.directory / name.replace("__", ".")).write_text(content)
    path = lab.directory / "flow.yaml"
    path.write_text(text)
    return lab.submit(plan_of(compile_file(path, date=DATE))).ended()


def test_a_job_gets_only_the_secrets_that_it_lists(lab: Lab) -> None:
    run = run_file(
        lab,
        """
        secrets: {TOKEN: {env: SHIPPING_TOKEN}, KEY: {file: key.pem}, UNUSED: {env: DATABASE_URL}}
        templates: {both: {secrets: [TOKEN, KEY]}}
        defaults: {secrets: [KEY]}
        jobs:
          both: {extends: both, call: 'secret_jobs:lengths', args: &names [TOKEN, KEY, UNUSED, SHIPPING_TOKEN, DATABASE_URL]}
          key: {call: 'secret_jobs:lengths', args: *names}
          none: {secrets: [], call: 'secret_jobs:lengths', args: *names}
          script: {secrets: [TOKEN], run: 'echo "t=${#TOKEN} k=${KEY:-none} s=${SHIPPING_TOKEN:-none}" >> "$FLOWQ_OUTPUT"'}
          argv: {secrets: [TOKEN], run: [sh, -c, 'echo "t=${#TOKEN}" >> "$FLOWQ_OUTPUT"']}
          server: {secrets: [TOKEN], call: 'secret_jobs:inherited'}
        on_exit:
          handler: {secrets: [TOKEN], call: 'secret_jobs:lengths', args: *names}
        """,
        key__pem=KEY,
    )
    absent = {"UNUSED": None, "SHIPPING_TOKEN": None, "DATABASE_URL": None}
    assert run.result("both") == {"TOKEN": len(TOKEN), "KEY": len(KEY) - 1, **absent}
    assert run.result("key") == {"TOKEN": None, "KEY": len(KEY) - 1, **absent}
    assert run.result("none") == {"TOKEN": None, "KEY": None, **absent}
    assert run.result("script") == {"t": f"{len(TOKEN)} k=none s=none"}
    assert run.result("argv") == {"t": str(len(TOKEN))}
    assert run.result("on_exit/handler") == {"TOKEN": len(TOKEN), "KEY": None, **absent}
    inherited = run.result("server")
    assert isinstance(inherited, list)
    assert "PATH" in inherited
    assert not {"TOKEN", "SHIPPING_TOKEN", "DATABASE_URL"} & set(inherited), "not even the fork server has them"


def test_another_run_still_has_its_variables(lab: Lab) -> None:
    run = run_file(lab, "jobs: {a: {call: 'secret_jobs:lengths', args: [SHIPPING_TOKEN]}}")
    assert run.result("a") == {"SHIPPING_TOKEN": len(TOKEN)}


def test_expressions_cannot_read_the_sources_of_secrets(lab: Lab) -> None:
    run = run_file(
        lab,
        """
        secrets: {TOKEN: {env: SHIPPING_TOKEN}}
        params: {which: {default: SHIPPING_TOKEN}}
        jobs:
          a: {run: ["echo", "${{ env[params.which] ?? 'nothing' }}", "${{ contains(env, 'SHIPPING_TOKEN') }}"]}
        """,
    )
    assert run.log("a") == "nothing false\n"


def test_output_errors_and_results_are_masked(lab: Lab) -> None:
    run = run_file(
        lab,
        """
        secrets: {TOKEN: {env: SHIPPING_TOKEN}, KEY: {file: key.pem}}
        defaults: {secrets: [TOKEN, KEY]}
        jobs:
          tell: {call: 'secret_jobs:tell', args: [TOKEN]}
          fail: {call: 'secret_jobs:fail', args: [TOKEN], allow_failure: true}
          script:
            run: |
              printf '%s' "$TOKEN" | base64
              printf '%s' "user:$TOKEN" | base64
              printf '%q %s\\n' "$TOKEN" "${TOKEN:0:3}"
              echo "$KEY" | tail -n 2
              set -x
              true "$TOKEN" 2>&1
              echo "token=$TOKEN" >> "$FLOWQ_OUTPUT"
          garbage: {run: 'echo "$KEY" >> "$FLOWQ_OUTPUT"', allow_failure: true}
          exits: {run: ["python", "-c", "import os, sys; sys.exit(os.environ['TOKEN'])"], allow_failure: true}
          next: {depends_on: [tell, script], secrets: [], run: ["echo", "${{ jobs.script.result.token }}", "${{ to_json(jobs.tell.result) }}"]}
        """,
        key__pem=KEY,
    )
    assert run.status == "finished"
    assert run.log("tell") == (
        '***\n"***" to err\n[flowq: the job\'s result had the secret TOKEN in it: it is masked there too]\n'
    )
    assert run.result("tell") == {"inside": ["<***>"], "plain": 1}
    assert run.result("script") == {"token": "***"}
    error = run.job("fail").error or ""
    assert "KeyError: " in error
    assert error.endswith("ValueError: cannot use ***")
    assert (run.job("garbage").error or "").startswith("line 1 of $FLOWQ_OUTPUT is '***")
    assert run.log("exits") == "***\n"
    # A line that may continue a secret of several lines is held back, so traces and notes may come before it.
    lines = [line for line in run.log("script").splitlines() if not line.startswith(("+ ", "[flowq: "))]
    assert lines[0] == "***"
    assert lines[1].count("***") == 1
    assert lines[2:] == ["*** can", "***", "***"]
    assert run.log("next") == '*** {"inside":["<***>"],"plain":1}\n'
    assert_nowhere(run)


def assert_nowhere(run: Started) -> None:
    """Assert that the store has no part of the secrets in the data of a run."""
    plan = run.store.runs.plan(run.id).decode()
    seen = [plan, *(run.log(job.name) for job in run.view.jobs), *(job.error or "" for job in run.view.jobs)]
    for text in seen:
        for canary in (TOKEN, "$een", "MIIEvQIBADAN", "Y2FuJ3QgYmUg"):
            assert canary not in text


def test_each_attempt_reads_its_secrets_again(lab: Lab) -> None:
    run = run_file(
        lab,
        """
        secrets: {TOKEN: {file: token}}
        jobs: {a: {call: 'secret_jobs:rotate', args: [token, TOKEN], secrets: [TOKEN], retry: 1}}
        """,
        token="old\n",
    )
    assert run.result("a") == len("the-new-value")
    assert "the secret TOKEN has fewer than 4 characters: it is not masked" in run.log("a"), "of the first attempt"


def test_a_module_is_imported_with_the_secret_in_the_environment(lab: Lab) -> None:
    """A module that reads the secret at import must not be preloaded without it."""
    text = """
    secrets: {TOKEN: {env: SHIPPING_TOKEN}}
    jobs:
      warm: {matrix: {n: [1, 2, 3]}, call: 'secret_jobs:at_import'}
      a: {depends_on: warm, call: 'secret_jobs:at_import', secrets: [TOKEN]}
      b: {depends_on: a, call: 'secret_jobs:at_import', secrets: [TOKEN]}
      c: {depends_on: b, call: 'secret_jobs:at_import'}
    """
    run = run_file(lab, text)
    assert [run.result(job) for job in ("warm", "a", "b", "c")] == [[False] * 3, True, True, False]


def test_a_missing_secret_fails_the_job_at_once(lab: Lab) -> None:
    run = run_file(
        lab,
        """
        secrets: {A: {env: NO_SUCH_TOKEN}, B: {file: nowhere/token}, C: {env: EMPTY_TOKEN}, D: {file: .}, E: {file: nul}, F: {file: big}}
        jobs:
          a: {secrets: [A], run: echo not executed, retry: 5}
          b: {secrets: [B], run: echo not executed}
          c: {secrets: [C], run: echo not executed}
          d: {secrets: [D], run: echo not executed}
          e: {secrets: [E], run: echo not executed}
          f: {secrets: [F], run: echo not executed}
        """,
        nul="a\0b",
        big="x" * 70_000,
    )
    assert set(run.states().values()) == {"failed/error"}
    assert run.job("a").attempts == 1
    place = str(lab.directory / "flow.yaml")
    missing = "secret A: the variable NO_SUCH_TOKEN is not set; export it before the worker (or `flowq run`) starts"
    assert run.job("a").error == f"{place}:4: job a: {missing}"
    assert f"secret B: {lab.directory}/nowhere/token cannot be read: No such file or directory" in (run.job("b").error or "")
    assert (run.job("c").error or "").endswith("secret C: the variable EMPTY_TOKEN is empty")
    assert "is not a regular file" in (run.job("d").error or "")
    assert "has a NUL character in it" in (run.job("e").error or "")
    assert "has more than 65,536 bytes: let the job read the file itself" in (run.job("f").error or "")
    assert [run.log(job) for job in "abcdef"] == [""] * 6


def test_a_command_is_asked_in_each_attempt_beside_the_flow(lab: Lab) -> None:
    """A failure may be one of the network, so it counts as one of the job."""
    (lab.directory / "sub").mkdir()
    (lab.directory / "sub" / "part.yaml").write_text(
        """
        params: {who: {required: true}}
        secrets: {TOKEN: {command: [bash, -c, 'echo x >> asked; test -s second && cat second; s=$?; echo "$0" > second; exit $s', "${{ params.who }}"]}}
        jobs: {a: {run: 'echo "length=${#TOKEN}" >> "$FLOWQ_OUTPUT"', secrets: [TOKEN], retry: 1}}
        """
    )
    run = run_file(lab, "jobs: {part: {flow: sub/part.yaml, params: {who: customer}}}")
    assert run.status == "finished"
    assert run.result("part/a") == {"length": "8"}
    assert run.job("part/a").attempts == 2
    assert (lab.directory / "sub" / "asked").read_text() == "x\nx\n"


def test_a_worker_that_may_execute_no_commands_executes_none_for_secrets(lab: Lab, server: PrivateServer) -> None:
    text = """
        secrets: {TOKEN: {command: [touch, made]}}
        jobs: {a: {call: 'secret_jobs:lengths', args: [TOKEN], secrets: [TOKEN]}}
        """
    (lab.directory / "flow.yaml").write_text(text)
    store = Store(open_client(server.url), namespace="flowq-test").open()
    run = Lab(store, lab.directory).submit(plan_of(compile_file(lab.directory / "flow.yaml", date=DATE)))
    with WorkerProcess(server.url, "--allow", "secret_jobs.*"):
        run.ended()
    error = run.job("a").error or ""
    assert error.endswith("job a: secret TOKEN: this worker may not execute commands (run): it allows only secret_jobs.*")
    assert not (lab.directory / "made").exists()


def test_a_sub_flow_has_its_own_secrets(lab: Lab) -> None:
    (lab.directory / "sub").mkdir()
    (lab.directory / "sub" / "token").write_text("inner value\n\n")
    (lab.directory / "sub" / "part.yaml").write_text(
        """
        secrets: {INNER: {file: token}}
        jobs: {a: {call: 'secret_jobs:lengths', args: [TOKEN, INNER, SHIPPING_TOKEN], secrets: [INNER]}}
        """
    )
    run = run_file(
        lab,
        """
        secrets: {TOKEN: {env: SHIPPING_TOKEN}}
        defaults: {secrets: [TOKEN]}
        jobs: {part: {flow: sub/part.yaml}}
        """,
    )
    assert run.result("part/a") == {"TOKEN": None, "INNER": 11, "SHIPPING_TOKEN": None}


def test_cells_and_items(lab: Lab) -> None:
    run = run_file(
        lab,
        """
        secrets: {TOKEN: {env: SHIPPING_TOKEN}}
        jobs:
          cells: {matrix: {n: [1, 2]}, secrets: [TOKEN], run: 'echo "$TOKEN"'}
          items: {foreach: "${{ range(2) }}", secrets: [TOKEN], run: 'echo "${{ item }} $TOKEN"'}
        """,
    )
    assert [run.log(name) for name in ("cells[n=1]", "items[1]")] == ["***\n", "1 ***\n"]


def test_a_file_in_the_home_directory(lab: Lab) -> None:
    home = Path("~").expanduser()
    name = f".flowq-test-{lab.directory.name}"
    (home / name).write_text("at-home")
    try:
        run = run_file(lab, f"secrets: {{T: {{file: ~/{name}}}}}\njobs: {{a: {{run: 'echo \"${{#T}} $T\"', secrets: [T]}}}}\n")
    finally:
        (home / name).unlink()
    assert run.log("a") == "7 ***\n"
