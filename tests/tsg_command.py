"""The command `tsg`, called in this process, and small series to call it with; for the tests of the commands."""

import sys

import numpy as np
import pytest

from tsg_core.tilt_series import TiltSeries
from tsgbook import cli


@pytest.fixture
def tsg(monkeypatch, capsys):
    """Run the command: (status, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tsg", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return caught.value.code or 0, said.out, said.err

    return call


@pytest.fixture
def series(tmp_path):
    """A series file of seven frames every 10 degrees, and the series."""
    rng = np.random.default_rng(1)
    series = TiltSeries(rng.random((7, 12, 16), dtype=np.float32), np.arange(-30, 31, 10.0), 0.5)
    return series.write(tmp_path / "series.npz"), series


def one_line(error):
    return error.startswith("tsg: ") and error.count("\n") == 1
