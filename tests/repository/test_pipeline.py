"""flowq's own pipeline tests every folder of tests."""

import yaml

from tests.repository.makefile import ROOT


def test_every_folder_of_tests_is_in_the_pipeline() -> None:
    flow = yaml.safe_load((ROOT / "examples" / "flows" / "ci.yaml").read_text(encoding="utf-8"))
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and list(path.rglob("test_*.py"))}
    assert set(flow["jobs"]["tests"]["matrix"]["part"]) == folders
