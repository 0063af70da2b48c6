"""Predictions stored in a folder until the work that needs them is done, so that an interrupted run can resume."""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.digests import digest_of
from ..tools.progress import track
from ..tools.provenance import code_version
from .angles import between
from .beyond import BEYOND, edge_folds
from .large_series import is_wide, judged_part
from .leave_out import folds
from .methods import predict

# kriging and informed continue from the object that reprojection has fitted
COST = {"reprojection": 1e4, "sirt_reprojection": 5e3, "atoms": 1e4, "dynamical": 5e4}
COST |= {"kriging": 1e3, "informed": 1e3, "tsgnet": 1e3, "smooth": 300, "flow": 100}
WIDE_COST = COST | {"sirt_reprojection": 5e4, "kriging": 2e3, "informed": 1e4, "tsgnet": 2e4}  # for wide frames
LEAST_COST = 1  # of the methods not named: weighted sums of frames


class KeptPredictions:
    """`methods.predict` with its results stored in `folder` and made only once; for `predict_automatically`.

    The content of a folder belongs to one series, one network and one version of the code; otherwise it is emptied
    first. Results that cannot be stored, for example on a full disk, are computed all the same. Raises TsgError if the
    folder holds something that this class did not write.
    """

    def __init__(self, folder: Path, *, series: TiltSeries, checkpoint=None):
        self.folder, self.checkpoint = folder, checkpoint
        self.recalled = 0  # number of predictions that an earlier run had made
        made_of = [_content(series), series.tilt_deg, series.pixel_size_A, series.metadata.get("microscope")]
        made_of += [str(series.metadata.get(name)) for name in ("extent", "elements")]
        code = code_version(
            ["tsg_core.interpolation.methods", "tsg_core.interpolation.leave_out", "tsg_core.interpolation.beyond"]
        )
        owner = digest_of([*made_of, str(checkpoint), code])
        if (folder / "owner").is_file():
            if (folder / "owner").read_text() != owner:
                shutil.rmtree(folder)
        elif folder.exists() and any(folder.iterdir()):
            raise TsgError(f"{folder}, where unfinished work is kept, holds something else; move it away")
        folder.mkdir(exist_ok=True)
        (folder / "owner").write_text(owner)

    def __call__(self, method: str, series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
        """The frames that the method returns, or the TsgError that it raises."""
        name = digest_of([method, _content(series), series.tilt_deg, tilt_deg])
        frames, refusal = self.folder / f"{method}-{name}.npy", self.folder / f"{method}-{name}.txt"
        if frames.is_file():
            self.recalled += 1
            return np.load(frames)
        if refusal.is_file():
            self.recalled += 1
            raise TsgError(refusal.read_text())
        try:
            predicted = predict(method, series, tilt_deg, checkpoint=self.checkpoint)
        except TsgError as error:
            with suppress(OSError):
                refusal.write_text(str(error))
            raise
        with suppress(OSError):
            partial = self.folder / "partial.npy"
            np.save(partial, predicted)
            partial.replace(frames)
        return predicted

    def forget(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _content(series: TiltSeries) -> str:
    """Digest of the frames, frame by frame: rows cut from larger frames are not contiguous."""
    digest = hashlib.sha256(str(series.frames.shape).encode())
    for frame in series.frames:
        digest.update(np.ascontiguousarray(frame))
    return digest.hexdigest()


class Tracked:
    """A predictor that shows its calls as the steps of one loop, with the time left; a context manager.

    The steps are those of `densify_with_uncertainty`: first, if any of `tilt_deg` lie beyond the measured range, the
    methods that can go there, for each of the `beyond.edge_folds` and for these angles; then every method for each of
    the `leave_out.folds` of the `judged_part`, and for the angles in the range. Costs are proportional to the number of
    known pixels.
    """

    def __init__(self, predictor, *, methods: Sequence[str], series: TiltSeries, tilt_deg: np.ndarray):
        judged, measured_deg = judged_part(series).frames[0].size, series.tilt_deg
        tilt_deg = np.asarray(tilt_deg)
        inner = between(measured_deg, tilt_deg)
        known = []
        if not inner.all():
            ends = [(measured_deg[out], len(kept) * judged) for kept, out in edge_folds(measured_deg, tilt_deg)]
            able = [method for method in methods if method in BEYOND]
            known += [(*part, able) for part in [*ends, (tilt_deg[~inner], series.frames.size)]]
        known += [(measured_deg[out], len(kept) * judged, methods) for kept, out, _ in folds(len(series))]
        known.append((tilt_deg[inner], series.frames.size, methods))
        self.predictor = predictor
        self.steps = [(method, digest_of(wanted)) for wanted, _, tried in known for method in tried]
        cost = WIDE_COST if is_wide(series.frames) else COST
        self.costs = [cost.get(method, LEAST_COST) * n for _, n, tried in known for method in tried]

    def __enter__(self) -> Self:
        self.loop = track(self.steps, label="prediction", costs=self.costs)
        return self

    def __exit__(self, *_) -> None:
        self.loop.close()

    def __call__(self, method: str, series: TiltSeries, tilt_deg: np.ndarray) -> np.ndarray:
        step = method, digest_of(tilt_deg)
        for current in self.loop:  # skip methods that do not apply
            if current == step:
                break
        return self.predictor(method, series, tilt_deg)
