"""The identity of a directory: the same for every checkout of a repository, another for every other repository."""

import subprocess
from pathlib import Path

import pytest

from flowq.exceptions import UsageError
from flowq.schedules.directory.identity import claim_name, identity_of
from flowq.store import Store


def git(directory: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *settings, *arguments], cwd=directory, check=True, capture_output=True)


def repository(directory: Path, url: str = "") -> Path:
    (directory / "flows").mkdir(parents=True)
    git(directory, "init")
    if url:
        git(directory, "remote", "add", "origin", url)
    return directory


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:secret@example.org/team/etl.git", "example.org/team/etl/flows"),
        ("https://EXAMPLE.org:8443/team/etl/", "example.org/team/etl/flows"),
        ("ssh://git@example.org:22/team/etl.git", "example.org/team/etl/flows"),
        ("git@example.org:team/etl.git", "example.org/team/etl/flows"),
    ],
)
def test_the_address_of_the_remote_counts_and_nothing_secret_of_it(tmp_path: Path, url: str, expected: str) -> None:
    assert identity_of(str(repository(tmp_path / "checkout", url) / "flows")) == expected


def test_the_whole_repository_has_its_address(tmp_path: Path) -> None:
    assert identity_of(str(repository(tmp_path / "a", "git@example.org:team/etl.git"))) == "example.org/team/etl"


@pytest.mark.parametrize("url", ["", "../elsewhere", "/srv/git/etl.git", "file:///srv/git/etl.git"])
def test_without_an_address_it_is_the_path(tmp_path: Path, url: str) -> None:
    flows = repository(tmp_path / "a", url) / "flows"
    assert identity_of(str(flows)) == str(flows.resolve())


def test_a_directory_without_a_repository_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert identity_of(str(tmp_path / "link")) == str(tmp_path.resolve())


def test_a_further_work_tree_is_the_same_repository(tmp_path: Path) -> None:
    first = repository(tmp_path / "a", "git@example.org:team/etl.git")
    (first / "flows" / "a.yaml").write_text("jobs: {}\n")
    git(first, "add", ".")
    git(first, "commit", "-m", "a")
    git(first, "worktree", "add", str(tmp_path / "b"), "-b", "other")
    assert identity_of(str(tmp_path / "b" / "flows")) == identity_of(str(first / "flows"))


def test_a_name_belongs_to_one_directory(store: Store, tmp_path: Path) -> None:
    first, second = repository(tmp_path / "a", "git@example.org:team/a.git"), repository(tmp_path / "b")
    assert claim_name(store, str(first / "flows"), None) == "flows"
    assert claim_name(store, str(first / "flows"), None) == "flows"
    with pytest.raises(
        UsageError, match=r"the name flows belongs to example.org/team/a/flows on this server, and this is /.*--name NAME"
    ):
        claim_name(store, str(second / "flows"), None)
    assert claim_name(store, str(second / "flows"), "b") == "b"
    assert claim_name(store, str(second / "flows"), "flows") == "flows", "asked for by name, it is taken over"
    with pytest.raises(UsageError, match="belongs to /"):
        claim_name(store, str(first / "flows"), None)
