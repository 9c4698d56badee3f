"""Every flow of the language guide compiles without diagnostics and ends as stated."""

import sys

import pytest

from flowq.compiler import compile_file
from flowq.states import RUN_ENDED
from tests.language.guide import SECRETS, Example, examples, files
from tests.language.lab import DATE, Lab, Started, plan_of
from tests.support.wait import until

EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title.lower().replace(" ", "-"))
def test_example(lab: Lab, example: Example) -> None:
    for name, text in (files() | SECRETS).items():
        (lab.directory / name).parent.mkdir(exist_ok=True)
        (lab.directory / name).write_text(text)
    (lab.directory / ".venv").symlink_to(sys.prefix)
    path = lab.directory / "flow.yaml"
    path.write_text(example.text)
    compiled = compile_file(path, date=DATE)
    plan = plan_of(compiled)
    assert compiled.diagnostics == ()
    run = lab.submit(plan)
    until(lambda: ended_or_approved(lab, run), timeout=60)
    assert run.status == example.ends, run.states()


def ended_or_approved(lab: Lab, run: Started) -> bool:
    for job in run.view.jobs:
        if job.reason == "approval":
            lab.store.jobs.approve(job.id, b"{}", by="the reader")
    return lab.store.runs.require(run.id).status in RUN_ENDED


def test_there_is_an_example_of_every_key() -> None:
    from flowq.compiler.syntax.schema import schema_document

    document = schema_document()
    text = "\n".join(example.text for example in EXAMPLES) + "\n".join(files().values())
    words = {*document["properties"], *document["$defs"]["job"]["properties"]}
    rare = {  # explained in the tables, without an example
        "labels", "retention", "on_cancel", "fail_fast", "shell", "workdir", "priority", "at_front", "result_ttl", "failure_ttl", "description",
    }  # fmt: skip
    assert sorted(word for word in words - rare if f"{word}:" not in text) == []
