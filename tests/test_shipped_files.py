"""What pip installs is all that the packages need: every module, and every file that lies beside one."""

import subprocess
import tomllib

import pytest
from conftest import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def tracked():
    """Files of both packages that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z", "tsg_core", "tsgbook"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("this is no clone of the repository")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_every_module_lies_in_a_package_that_is_found():
    """Packages are found by their __init__.py."""
    folders = {parent for path in tracked() if path.suffix == ".py" for parent in path.relative_to(ROOT).parents[:-1]}
    assert len(folders) > 20
    assert [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []


def test_every_other_file_is_named_as_data_of_its_package():
    """Weights, samples, tables and templates; what a pattern names must also exist."""
    data = [(package, pattern) for package, patterns in SETTINGS["package-data"].items() for pattern in patterns]
    named = {(package, pattern): set((ROOT / package.replace(".", "/")).glob(pattern)) for package, pattern in data}
    assert all(named.values()), named
    others = {path for path in tracked() if path.suffix != ".py"}
    assert len(others) > 15 and others <= set().union(*named.values())
