"""The top level of the tree holds the packages, the tests, the deployment, and the few files a reader needs there."""

import pytest

from tests.architecture import tree

FIXED = {
    "objectives",
    "sandbox",
    "metaevo",
    "services",
    "tests",
    "deploy",
    "README.md",
    "LICENSE",
    "pyproject.toml",
    "Makefile",
    "CONTRIBUTING.md",
}


def test_only_the_fixed_names_are_at_the_top() -> None:
    names = tree.in_git()
    if names is None:
        pytest.skip("needs a git checkout")
    assert {name for name in names if not name.startswith(".")} <= FIXED


def test_every_package_says_what_it_is() -> None:
    for package in ("objectives", "metaevo", "services"):
        assert (tree.ROOT / package / "README.md").is_file(), package
