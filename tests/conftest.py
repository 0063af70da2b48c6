"""The chapters with the profile smoke, and the book built from them: done once for all test files."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # arrays are small here: threads would spend their time waiting for one another

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config, items):
    """What needs the chapters or the book comes last, so that quick failures show first.

    With several processes (`-n 2 --dist loadgroup`) one of them does all that, from the start, since it takes longest.
    """
    several = hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None)
    shared = {"smoke_run", "built_book"}
    for item in items:
        if shared & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("chapters"))
    first_to_last = -1 if several else 1
    items.sort(key=lambda item: first_to_last * len(shared & set(getattr(item, "fixturenames", ()))))


@pytest.fixture(scope="session")
def smoke_run():
    """The run of the profile smoke, executed into artifacts/smoke of this checkout where it is not current."""
    from tsgbook.pipeline import Run
    from tsgbook.profiles import load_profile

    run = Run(load_profile("smoke", root=ROOT), root=ROOT)
    run.run()
    return run


@pytest.fixture(scope="session")
def built_book(smoke_run):
    """The folder of the built pages."""
    from tsgbook.build import build_book

    return build_book(profile="smoke", artifacts=smoke_run.folder.parent, out=ROOT / "_build")
