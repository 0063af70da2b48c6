"""The chapters with the profile smoke, and the book built from them: done once for all test files."""

import gc
import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # arrays are small here: threads would spend their time waiting for one another

ROOT = Path(__file__).resolve().parent.parent
OF_THE_BOOK = ROOT / "tests" / "tsgbook"  # where all tests lie that need the chapters, which CI runs by themselves


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by markers
def pytest_collection_modifyitems(config, items):
    """Long tests are left out unless `-m` names them; with `-m` in the settings, any other one would bring them back.

    What needs the chapters or the book is marked so, and comes last, so that quick failures show first."""
    if "long" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    shared = {"smoke_run", "built_book"}
    for item in items:
        if shared & set(getattr(item, "fixturenames", ())):
            if OF_THE_BOOK not in item.path.parents:
                raise pytest.UsageError(f"{item.nodeid} needs the chapters: it belongs in {OF_THE_BOOK}")
            item.add_marker("chapters")
    items.sort(key=lambda item: len(shared & set(getattr(item, "fixturenames", ()))))


def pytest_collection_finish():
    """What is imported stays: it need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def chromium():
    """Path of the system's Chromium; without one the test is skipped, or fails where TSG_REQUIRE_BROWSER is set."""
    from tsg_core.errors import TsgError
    from tsgbook import pdf

    try:
        return pdf.chromium()
    except TsgError as error:
        pytest.fail(str(error)) if os.environ.get("TSG_REQUIRE_BROWSER") else pytest.skip(str(error))


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
