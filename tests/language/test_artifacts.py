"""`artifacts` and `fetch`: files that jobs leave, and that others get."""

import os
from pathlib import Path

import pytest

from flowq.artifacts.manifest import Manifest
from flowq.store.schema.outcomes import ArtifactReport, ExecutionReport, Outcome
from tests.language.lab import Lab, Started
from tests.support.wait import until

BUILD = """
jobs:
  build:
    run: mkdir -p out/a; echo one > out/a/x.html; echo two > out/y.html; echo log > b.log; chmod +x out/y.html
    artifacts: {report: "out/**/*.html", log: {path: "*.log", when: always, keep: 7d}, none: "nothing*?"}
"""


def artifacts(run: Started, job: int = 0) -> dict[str, Manifest]:
    return dict(run.store.artifacts.manifests([run.store.runs.jobs(run.id, [job])[0].id])[0])  # type: ignore[union-attr]


def paths(run: Started, job: int = 0) -> dict[str, list[str]]:
    return {name: [file.path for file in manifest.files] for name, manifest in artifacts(run, job).items()}


def error(run: Started, job: str) -> str:
    found = run.job(job)
    assert str(found.status) == "failed", run.states()
    return found.error or ""


def keys(lab: Lab, run: Started) -> list[str]:
    return sorted(key.decode() for key in lab.store.client.scan_iter(f"*artifact*{run.id}*"))


def test_files_go_from_job_to_job(lab: Lab) -> None:
    run = lab.run(
        BUILD
        + """
  use:
    depends_on: build
    fetch: {build.report: "site/${{ params.to }}", build.log: ., build.none: empty}
    run: |
      ls -d empty; cd site; find . -type f | sort; cat deep/out/a/x.html; test -x deep/out/y.html; test ! -x deep/out/a/x.html
  told:
    depends_on: build
    call: language_jobs:give
    args: [{files: "${{ jobs.build.artifacts.report }}", none: "${{ jobs.build.artifacts.none }}"}]
params: {to: {default: deep/}}
"""
    )
    assert run.status == "finished", (run.states(), run.log())
    assert paths(run) == {"report": ["out/a/x.html", "out/y.html"], "log": ["b.log"], "none": []}
    assert "empty\n./deep/out/a/x.html\n./deep/out/y.html\none\n" in run.log()
    assert "artifacts report: 2 files, 8 bytes\n" in run.log()
    told = run.result("told")
    assert told["files"][0] == {
        "path": "out/a/x.html",
        "size": 4,
        "sha256": "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806",
    }
    assert told["none"] == []
    assert artifacts(run)["report"].until_ms is None
    until_ms = artifacts(run)["log"].until_ms
    assert until_ms is not None
    assert 6.9 * 86_400_000 < until_ms - lab.store.now_ms() <= 7 * 86_400_000
    names = keys(lab, run)
    assert {lab.store.client.pttl(key) > 0 for key in names if key.endswith(":log")} == {True}
    lab.store.runs.delete(run.id)
    assert names
    assert not keys(lab, run), "the files go with the run"


def test_cells_are_fetched_into_one_place(lab: Lab) -> None:
    run = lab.run("""
jobs:
  cells: {matrix: {n: [1, 2]}, run: "echo ${{ matrix.n }} > r-${{ matrix.n }}", artifacts: {r: "r-*${{ matrix.n }}"}}
  list: {run: "echo 'a=[7, 8, 9]' >> $FLOWQ_OUTPUT; echo '{\\"items\\": [7, 8, 9]}' >> $FLOWQ_OUTPUT"}
  items:
    depends_on: list
    foreach: jobs.list.result.items
    run: 'test "${{ item }}" != 8 || exit 3; echo ${{ item }} > i-${{ index }}'
    allow_failure: true
    artifacts: {i: {path: "i-${{ index }}?", when: always}}
  use:
    depends_on: [cells, items]
    fetch: {cells.r: all, items.i: all}
    run: |
      cat all/*; echo ${{ len(jobs.cells.artifacts.r) }} ${{ len(jobs.items.artifacts.i) }} ${{ jobs.items.artifacts.i[1].path }}
""")
    assert run.status == "finished", (run.states(), run.log())
    assert run.log().endswith("7\n9\n1\n2\n2 2 i-2\n")


def test_equal_paths_with_another_content_are_refused(lab: Lab) -> None:
    run = lab.run("""
jobs:
  cells: {matrix: {n: [1, 2]}, max_parallel: 1, run: "echo ${{ matrix.n }} > r; echo same > s", artifacts: {r: "[r]", s: "[s]"}}
  same: {depends_on: cells, fetch: {cells.s: x}, run: cat x/s}
  use: {depends_on: cells, fetch: {cells.r: x}, run: "true"}
""")
    assert str(run.job("same").status) == "finished", run.states()
    assert "both have a file for x/r, with another content: let the path tell the cell" in error(run, "use")


def test_what_cannot_be_kept_fails_the_job(lab: Lab) -> None:
    run = lab.run("""
jobs:
  nothing: {run: "true", artifacts: {a: "x*"}}
  link: {run: "mkdir x; ln -s /etc/passwd x/link", artifacts: {a: x}}
  big: {run: "head -c 9000000 /dev/zero > big", artifacts: {a: big}}
  outside: {run: "true", artifacts: {a: "${{ run.id == '' ? 'x' : '../x' }}"}}
  failing: {run: "echo y > y; exit 4", artifacts: {a: "y"}}
""")
    for job, expected in {
        "nothing": "artifacts: a: no file matches x*; if there need not be any, end the pattern with a `?`",
        "link": "artifacts: a: x/link leads out of the job's directory: leave it out with !x/link",
        "big": "artifacts: the files take 8.6 MiB, and at most 8 MiB of a job are kept on the server: set FLOWQ_STORE to a directory",
        "outside": "artifacts: a: ../x leaves the job's directory",
        "failing": "exit code 4",
    }.items():
        assert error(run, job).startswith(expected)
    assert not any(artifacts(run, number) for number in range(5))
    assert not keys(lab, run)


def test_a_name_with_a_line_break_is_only_a_name(lab: Lab) -> None:
    run = lab.run("""
jobs:
  a: {run: "printf 1 > $'two\\nlines'; mkdir two..dots; touch two..dots/x..", artifacts: {a: ["two*", two..dots]}}
  b: {depends_on: a, fetch: {a.a: in}, run: "cat in/two*lines; test -e in/two..dots/x.."}
""")
    assert run.status == "finished", (run.states(), run.log())
    assert "two\nlines" in paths(run)["a"]


def test_a_failed_job_keeps_what_is_always_kept(lab: Lab) -> None:
    run = lab.run("""
jobs:
  a:
    retry: 1
    run: |
      echo ${{ job.attempt }} > a.log; echo x > out; touch only-${{ job.attempt }}; exit 3
    artifacts: {log: {path: [a.log, only-1?, missing], when: always}, out: out}
on_failure:
  b: {fetch: {"a.log?": logs, "a.out?": outs}, run: cat logs/a.log}
""")
    assert "3" in error(run, "a")
    assert paths(run) == {"log": ["a.log", "only-1"]}
    contents = lab.store.session.keys("artifact_files", run.job("a").id, "log")
    assert lab.store.client.hlen(contents) == 2, "nothing is left of the first attempt"
    assert str(run.job("on_failure/b").status) == "finished", run.job("on_failure/b").error
    assert "artifacts log: no file matches missing\nartifacts log: 2 files, 2 bytes\n2\n" in run.log()
    assert not (lab.directory / "outs").exists(), "there is no `out` after a failure"


def test_a_call_has_artifacts_too(lab: Lab) -> None:
    (lab.directory / "calls.py").write_text(
        "def f():\n    open('made', 'w').write('x')\n    import os; os.chdir('/')\n    return 5\n"
    )
    run = lab.run("jobs: {a: {call: 'calls:f', artifacts: {m: made}}, b: {depends_on: a, fetch: {a.m: x}, call: 'calls:f'}}")
    assert run.status == "finished", run.states()
    assert (run.result("a"), paths(run)) == (5, {"m": ["made"]})
    assert (lab.directory / "x" / "made").read_text() == "x"


def test_a_retry_keeps_the_files_of_kept_jobs(lab: Lab) -> None:
    run = lab.run("""
jobs:
  kept: {run: "echo kept > k", artifacts: {k: k}}
  again: {depends_on: kept, run: "echo x > g; test -e now", artifacts: {g: {path: g, when: always}}}
""")
    (lab.directory / "k").unlink()
    before = artifacts(run)
    assert paths(run, 1) == {"g": ["g"]}
    (lab.directory / "now").touch()
    assert run.retry().ended().status == "finished"
    assert artifacts(run) == before
    assert paths(run, 1) == {"g": ["g"]}


def test_a_reset_job_has_no_files_until_it_ran_again(lab: Lab) -> None:
    run = lab.run("jobs: {a: {run: 'echo > x; exit 1', artifacts: {x: {path: x, when: always}}}}")
    assert paths(run) == {"x": ["x"]}
    lab.store.queues.suspend(None)
    try:
        run.retry()
        until(lambda: str(run.job("a").status) == "queued")
        assert not artifacts(run)
    finally:
        lab.store.queues.resume()
    assert run.ended().status == "failed"


def test_a_cached_result_has_its_files(lab: Lab) -> None:
    flow = "jobs: {a: {run: 'echo ran >> times; echo x > x; echo l > l', cache: {key: 1}, artifacts: {x: x, l: {path: l?, when: always}}}}"
    first, second = lab.run(flow), lab.run(flow)
    assert second.job("a").reason == "cached"
    assert paths(second) == paths(first) == {"x": ["x"], "l": ["l"]}
    (lab.directory / "x").unlink()
    third = lab.run(flow)
    assert third.job("a").reason != "cached", "its file was gone: it runs again, and does not fail"
    assert paths(third) == paths(first)


def test_what_was_altered_or_lost_is_not_fetched(lab: Lab) -> None:
    flow = "jobs: {a: {run: 'echo x > x', artifacts: {x: x}}, ask: {depends_on: a, approval: go}, b: {depends_on: ask, fetch: {a.x: y}, run: 'true'}}"
    for change, expected in {
        "altered": "fetch: a.x: x was altered on the server: its SHA-256 is another one",
        "lost": "fetch: a.x: x is missing on the server",
        "gone": "job a has no artifact x",
        "expired": "artifact x of job a is not kept any more: its `keep` has passed",
        "path": "an artifact of job",
    }.items():
        run = lab.start(flow)
        run.until_job("ask", "deferred/approval")
        job = run.store.runs.jobs(run.id, [0])[0]
        assert job is not None
        place, files = (
            lab.store.session.keys(name, *more) for name, more in (("artifacts", (job.id,)), ("artifact_files", (job.id, "x")))
        )
        stored = lab.store.client.hget(place, "x")
        assert isinstance(stored, bytes)
        digest = artifacts(run)["x"].files[0].sha256
        match change:
            case "altered":
                lab.store.client.hset(files, digest, b"y")
            case "lost":
                lab.store.client.delete(files)
            case "gone":
                lab.store.client.delete(place, files)
            case "expired":
                lab.store.client.hset(place, "x", stored.replace(b"- ", b"1 "))
            case "path":
                lab.store.client.hset(place, "x", stored.replace(b'"x"', b'"../x"'))
        ask = run.store.runs.jobs(run.id, [1])[0]
        assert ask is not None
        lab.store.jobs.approve(ask.id, b"null", by="me")
        run.ended()
        assert expected in error(run, "b"), change
        assert not (lab.directory / "y" / "x").exists()


def test_a_link_in_the_way_of_a_fetched_file(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (lab.directory / "in").mkdir()
    (lab.directory / "in" / "sub").symlink_to(elsewhere)
    (lab.directory / "in" / "file").symlink_to(elsewhere / "target")
    run = lab.run("""
jobs:
  a: {run: "mkdir sub; echo x > sub/x; echo f > file", artifacts: {x: sub, f: file}}
  b: {depends_on: a, fetch: {a.x: in}, run: "true"}
  c: {depends_on: a, fetch: {a.f: in}, run: cat in/file}
""")
    assert "sub leads out of" in error(run, "b")
    assert str(run.job("c").status) == "finished"
    assert not (lab.directory / "in" / "file").is_symlink()
    assert not os.listdir(elsewhere)


def test_a_secret_in_a_name_is_not_kept(lab: Lab) -> None:
    run = lab.run("""
secrets: {TOKEN: {env: DATABASE_URL}}
jobs: {a: {secrets: [TOKEN], run: 'mkdir x; echo > "x/${TOKEN##*/}-$(basename $TOKEN)"; mkdir -p "x/$TOKEN"; touch "x/$TOKEN/a"', artifacts: {x: x}}}
""")
    assert "the name of a file has the secret TOKEN in it" in error(run, "a")


def test_an_execution_that_lost_its_job_leaves_nothing(lab: Lab) -> None:
    run = lab.start("jobs: {a: {queue: unserved, run: 'true', artifacts: {x: x}}}")
    job = run.store.runs.jobs(run.id, [0])[0]
    assert job is not None
    first = until(lambda: lab.store.workers.exchange("w", ["unserved"], 60.0, [], ["one"]).claims[0])
    assert first is not None
    report = ArtifactReport("x", '{"remote":false,"files":[["x",1,"d",false]]}', {"d": b"1"})
    assert (
        lab.store.jobs.finish(ExecutionReport(job.id, "7-other", "finished", value=b"{}", artifacts=(report,)))
        is Outcome.FENCED
    )
    assert not keys(lab, run)
    done = ExecutionReport(job.id, first.token, "finished", value=b"{}", artifacts=(report,))
    assert lab.store.jobs.finish(done) is Outcome.DONE
    assert lab.store.jobs.finish(done) is Outcome.DUPLICATE
    assert paths(run.ended()) == {"x": ["x"]}


def test_many_and_empty_files_are_kept_whole(lab: Lab) -> None:
    run = lab.run("""
jobs:
  a: {run: "mkdir m; cd m; for i in $(seq 1100); do echo $i > f$i; done; touch empty", artifacts: {m: m}}
  b: {depends_on: a, fetch: {a.m: got}, run: "ls got/m | wc -l; cat got/m/f* | sort -n | tail -1; test ! -s got/m/empty"}
""")
    assert run.status == "finished", (run.states(), run.log())
    assert run.log().endswith("1101\n1100\n")


def test_python_reads_nothing_of_other_runs(lab: Lab, tmp_path: Path) -> None:
    first, second = lab.run(BUILD), lab.run(BUILD)
    assert not set(keys(lab, first)) & set(keys(lab, second))
    assert tmp_path == lab.directory
