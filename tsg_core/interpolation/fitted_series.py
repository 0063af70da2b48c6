"""A tilt series with what is learnt from it: the fitted object, its residual and noise, and the fitted atoms."""

from functools import cached_property

import numpy as np

from ..reconstruction import sirt
from ..reconstruction.blocks import StoredObject, sirt_in_blocks
from ..reconstruction.extent import with_extent
from ..tilt_series import TiltSeries
from .fitted_object import FINE_PX, FittedObject, box_of_object, fitted_object, missed_by
from .large_series import is_large
from .residual import N_BANDS, residual_weights, white_noise_bound


class FittedSeries(TiltSeries):
    """A tilt series that computes what several methods need only once, on first use.

    Everything is forgotten with the series. A `subset` is a new fitted series that has learnt nothing yet.
    """

    @classmethod
    def of(cls, series: TiltSeries) -> "FittedSeries":
        """The series with the extent of its object; the series itself if it is a FittedSeries already."""
        if isinstance(series, cls):
            return series
        series = with_extent(series)
        return cls(series.frames, series.tilt_deg, series.pixel_size_A, series.measured, series.metadata)

    @cached_property
    def object(self) -> FittedObject | StoredObject:
        """The object fitted to all frames."""
        return fitted_object(self)

    @cached_property
    def sirt_object(self) -> np.ndarray | StoredObject:
        """The volume (n_y, n_z, n_x) by SIRT (100 iterations, non-negative); for wide frames, stored in a file."""
        box = box_of_object(self)
        if self.frames.shape[2] > FINE_PX:
            return sirt_in_blocks(self, n_iterations=100, box=box)
        return sirt(self, n_iterations=100, non_negative=True, allow_negative=True, box=box)

    def missed(self, indices: np.ndarray | None = None) -> np.ndarray:
        """Frames minus those of the object, (n_tilt, n_y, n_x), or (..., n_y, n_x) at indices (...).

        For a large series they are computed anew each time; others are cached and must not be modified.
        """
        if not is_large(self.frames):
            return self._kept_missed if indices is None else self._kept_missed[indices]
        if indices is None:
            return missed_by(self.object, self, np.arange(len(self)))
        wanted, where = np.unique(indices, return_inverse=True)
        return missed_by(self.object, self, wanted)[where.reshape(indices.shape)]

    @cached_property
    def _kept_missed(self) -> np.ndarray:
        return missed_by(self.object, self, np.arange(len(self)))

    @cached_property
    def missed_noise(self) -> float:
        """The largest variance that white noise in the residual of the object can have."""
        return white_noise_bound(self.missed())

    @cached_property
    def residual_weights(self) -> np.ndarray:
        """`residual.residual_weights` (5, 5), learnt from every second frame between the first and the last.

        An object fitted to the others predicts them. With two frames, neither can be left out, and the weights are 1.
        """
        out = np.arange(1, len(self) - 1, 2)
        if len(out) == 0:
            return np.ones((N_BANDS, N_BANDS))
        kept = np.setdiff1d(np.arange(len(self)), out)
        fitted = fitted_object(self.subset(kept))
        return residual_weights(
            missed_by(fitted, self, kept),
            measured_deg=self.tilt_deg[kept],
            left_out=missed_by(fitted, self, out),
            left_out_deg=self.tilt_deg[out],
        )

    @property
    def atoms(self) -> "AtomModel":  # noqa: F821
        """The atoms fitted to all frames with the usual settings. Raises NotAtoms if they show something else."""
        from .atoms.fit import NotAtoms  # abTEM takes seconds to import

        found = self._atoms_or_refusal
        if isinstance(found, NotAtoms):
            raise NotAtoms(*found.args)
        return found

    @cached_property
    def _atoms_or_refusal(self):
        from .atoms.fit import NotAtoms, fit_atoms

        try:
            return fit_atoms(self)
        except NotAtoms as refused:
            return refused
