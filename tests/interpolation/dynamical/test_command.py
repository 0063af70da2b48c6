"""`tsg densify --method dynamical` from a file to a file."""

# ruff: noqa: F811  (a fixture that is imported)

from dataclasses import replace

import numpy as np
from ase import Atoms
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.interpolation import densify, leave_out
from tsg_core.interpolation.dynamical import microscope_fit
from tsg_core.microscope import NON_ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.tilt_series import TiltSeries

MEASURED_deg, BETWEEN_deg = np.arange(-60.0, 61.0, 24.0), np.array([-24.0, 0.0])
POSITIONS_A = [(1.4, 0.2, 0.5), (-1.2, 0.6, 0.9), (0.1, -1.9, -0.4), (-0.4, 1.7, -1.1)]


def frames_at(tilt_deg):
    """Multislice frames of four atoms by another potential and other slices than the method's."""
    return simulate_tilt_series(
        Atoms("Cu2Au2", positions=POSITIONS_A),
        microscope=NON_ABERRATED,
        tilt_deg=tilt_deg,
        shape=28,
        field_of_view_A=8.4,
        engine="multislice",
        parametrization="kirkland",
        slice_thickness_A=1.5,
    )


def test_frames_come_nearer_to_the_truth_and_the_cost_is_said_first(tsg, tmp_path, monkeypatch):
    folds = leave_out.folds
    monkeypatch.setattr(leave_out, "folds", lambda n: list(folds(n))[:1])  # for each fold, atoms are fitted again
    monkeypatch.setattr(microscope_fit, "fitted_microscope", lambda *_: replace(NON_ABERRATED, defocus_A=0.4))
    monkeypatch.setattr(microscope_fit, "N_ROUNDS", 1)
    measured, true = frames_at(MEASURED_deg), frames_at(BETWEEN_deg).frames
    path, at = measured.write(tmp_path / "in.npz"), tmp_path / "at.txt"
    at.write_text("\n".join(map(str, BETWEEN_deg)))
    output = tmp_path / "dynamical.npz"
    options = ("--at", at, "--method", "dynamical", "--elements", "Cu,Au")
    status, said, error = tsg("densify", path, "-o", output, *options)
    assert (status, error) == (0, "")
    found, linear = TiltSeries.read(output), densify(measured, tilt_deg=BETWEEN_deg, method="linear")
    np.testing.assert_array_equal(found.frames[found.measured], measured.frames)
    missed, missed_by_linear = (np.mean((dense.frames[~dense.measured] - true) ** 2) for dense in (found, linear))
    assert missed < 0.1 * missed_by_linear  # by 10 dB
    # six measured, two wanted, and one that is left out to state the errors
    assert said.startswith("multislice of the atoms: 9 frames, up to 1 min on one core")
    sigma = TiltSeries.read(tmp_path / "dynamical_sigma.npz")
    assert (sigma.frames[~sigma.measured] > 0).all()
    remark = "better with 35.0 mrad, Cs 0.0 um and defocus 0 A than with the stated 35.0 mrad"
    assert remark in said and remark in TiltSeries.read(output).history[-2]
    assert (tmp_path / "dynamical_report.html").exists()


def test_without_a_microscope_it_says_what_is_missing(tsg, tmp_path):
    measured = frames_at(MEASURED_deg[:2])
    path = TiltSeries(measured.frames, measured.tilt_deg, measured.pixel_size_A).write(tmp_path / "in.npz")
    status, _, error = tsg("densify", path, "-o", tmp_path / "out.npz", "--step", 10, "--method", "dynamical")
    assert status == 2 and one_line(error) and "needs the microscope, and none is recorded" in error
    assert not (tmp_path / "out.npz").exists()
