"""Prediction from frames whose poses scatter no more: nearer to the truth, and no worse where a stage only drifts."""

import numpy as np
import pytest
from phantoms import film

from tsg_core.interpolation import densify
from tsg_core.reconstruction.poses import PoseFit, Poses

TILT_deg = np.arange(-60.0, 61.0, 3.0)
SHAPE = {"n_y": 16, "n_x": 32, "thickness_px": 16}
MEASURED, OUT = np.arange(0, 41, 2), np.arange(1, 41, 2)


def mse_of(shift_px, *, fit_pose: bool, monkeypatch) -> float:
    """Of frames predicted by the object from shifted frames, if the fit finds the true shifts."""
    values = np.zeros((len(MEASURED), 6))
    values[:, :2] = shift_px[MEASURED]
    fit = PoseFit(poses=Poses(values=values), remark="Fitted.")
    monkeypatch.setattr("tsg_core.interpolation.posed.fit_poses", lambda series: fit)
    known = film(TILT_deg[MEASURED], **SHAPE, shift_px=shift_px[MEASURED])
    dense = densify(known, tilt_deg=TILT_deg, method="reprojection", fit_pose=fit_pose)
    assert np.array_equal(dense.frames[MEASURED], known.frames)
    assert dense.history == (("Fitted.",) if fit_pose else ())
    return float(((dense.frames[OUT] - film(TILT_deg, **SHAPE, shift_px=shift_px).frames[OUT]) ** 2).mean())


@pytest.mark.parametrize("kind", ["scattered", "drifting"])
def test_frames_in_pose_predict_better(kind, monkeypatch):
    shift_px = np.zeros((len(TILT_deg), 2))
    if kind == "scattered":
        shift_px[MEASURED] = np.random.default_rng(1).normal(0, 0.7, (len(MEASURED), 2))
        shift_px -= shift_px[MEASURED].mean(axis=0) * np.isin(np.arange(len(TILT_deg)), MEASURED)[:, None]
    else:
        shift_px[:, 0] = 1.5 * np.sin(np.deg2rad(3 * TILT_deg))
    fitted, plain = (mse_of(shift_px, fit_pose=fit, monkeypatch=monkeypatch) for fit in (True, False))
    assert fitted < (0.3 if kind == "scattered" else 1.5) * plain


def test_too_few_frames_are_predicted_as_they_are():
    known = film(TILT_deg[::10], **SHAPE)
    dense, plain = (densify(known, tilt_deg=TILT_deg, fit_pose=fit) for fit in (True, False))
    assert np.array_equal(dense.frames, plain.frames)
    assert "too few to fit poses" in dense.history[-1]
