"""`tsg densify --fit-pose`: a disturbed series is predicted better, an aligned one exactly as without it."""

# ruff: noqa: F811  (a fixture that is imported)

import numpy as np
import pytest
from tsg_command import tsg  # noqa: F401

from tsg_core.geometry import pixel_centres_A, tilted_positions, translation_of
from tsg_core.tilt_series import TiltSeries

MEASURED_deg, BETWEEN_deg = np.arange(-64.0, 65.0, 8.0), np.arange(-60.0, 61.0, 8.0)
N_Y, N_X, SIGMA_px = 16, 24, 1.5


def ball(tilt_deg, shift_px):
    """Frames of Gaussian spots in a ball inside the frames, displaced by shifts (n_tilt, 2) along y and x."""
    rng = np.random.default_rng(3)
    places = rng.normal(size=(25, 3))
    places *= 5 * rng.random((25, 1)) ** (1 / 3) / np.linalg.norm(places, axis=1, keepdims=True)
    column, row, _ = np.moveaxis(tilted_positions(places, tilt_deg=tilt_deg), -1, 0)
    along_y, along_x = (
        np.exp(-((pixel_centres_A(n, pixel_size_A=1.0) - place[..., None]) ** 2) / (2 * SIGMA_px**2))
        for n, place in ((N_Y, row + shift_px[:, :1]), (N_X, column + shift_px[:, 1:]))
    )
    return np.einsum("tay,tax->tyx", along_y, along_x, optimize=True)


def recorded(kind):
    """Disturbed: shifts of half a pixel, angles misread by 0.3 degrees, gains of 3 percent; the object is in place."""
    rng, n = np.random.default_rng(1), len(MEASURED_deg)
    size = 0.0 if kind == "aligned" else 1.0
    shift_px, error_deg, gain = (size * rng.normal(0, s, shape) for s, shape in ((0.5, (n, 2)), (0.3, n), (0.03, n)))
    shift_px -= translation_of(shift_px, tilt_deg=MEASURED_deg)
    error_deg, gain = error_deg - error_deg.mean(), gain - gain.mean()
    frames = ball(MEASURED_deg + error_deg, shift_px) * (1 + gain)[:, None, None]
    noise = 0.02 * frames.std() * np.random.default_rng(2).standard_normal(frames.shape)
    return TiltSeries(frames + noise, MEASURED_deg, 0.5)


@pytest.mark.parametrize("kind", ["aligned", "disturbed"])
def test_poses_are_fitted_where_it_helps(kind, tsg, tmp_path):
    path, found = recorded(kind).write(tmp_path / "series.npz"), {}
    for option in ("--fit-pose", "--no-fit-pose"):
        out = tmp_path / f"{option}.npz"
        status, said, error = tsg("densify", path, "-o", out, "--step", 4, "--method", "reprojection", option)
        assert (status, error) == (0, "")
        if option == "--fit-pose":
            assert ("Fitted the poses" in said) == (kind == "disturbed"), said
            assert ("Poses are left as they are" in said) == (kind == "aligned"), said
        dense = TiltSeries.read(out)
        assert np.array_equal(dense.frames[dense.measured], recorded(kind).frames)
        found[option] = dense.frames[~dense.measured]
    fitted, plain = found["--fit-pose"], found["--no-fit-pose"]
    if kind == "aligned":
        assert np.array_equal(fitted, plain)
    else:
        truth = ball(BETWEEN_deg, np.zeros((len(BETWEEN_deg), 2)))
        mse = [((frames - truth) ** 2).mean() for frames in (fitted, plain)]
        assert 10 * np.log10(mse[1] / mse[0]) > 2
