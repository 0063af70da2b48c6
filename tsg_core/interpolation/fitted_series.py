"""A tilt series with what is learnt from it: the fitted object, its residual and noise, and the fitted atoms."""

from dataclasses import asdict, replace
from functools import cached_property

import numpy as np

from ..errors import TsgError
from ..microscope import Microscope
from ..reconstruction import sirt
from ..reconstruction.blocks import StoredObject, sirt_in_blocks
from ..reconstruction.extent import with_extent
from ..tilt_series import TiltSeries, microscope_of
from ..tools.stored_arrays import StoredArrays
from .fitted_object import FINE_PX, FittedObject, box_of_object, fitted_object, missed_by
from .large_series import is_large, judged_part
from .residual import N_BANDS, residual_weights, white_noise_bound


class FittedSeries(TiltSeries):
    """A tilt series that computes what several methods need only once, on first use.

    Everything is forgotten with the series. A `subset` is a new fitted series that has learnt nothing yet; a `fold`
    may use the whole series for what is too costly to repeat for every frame that is left out.
    """

    _whole: "FittedSeries | None" = None
    _kept: np.ndarray | None = None

    @classmethod
    def of(cls, series: TiltSeries) -> "FittedSeries":
        """The series with the extent of its object; the series itself if it is a FittedSeries already."""
        if isinstance(series, cls):
            return series
        series = with_extent(series)
        return cls(series.frames, series.tilt_deg, series.pixel_size_A, series.measured, series.metadata)

    def fold(self, kept: np.ndarray) -> "FittedSeries":
        """The series without some of its frames, which are left out to judge methods; `kept` are indices."""
        fold = self.subset(kept)
        object.__setattr__(fold, "_whole", self)
        object.__setattr__(fold, "_kept", kept)
        return fold

    def seen_by(self, microscope: Microscope) -> "FittedSeries":
        """The series with this microscope, from which nothing has been learnt; itself if it has that one already."""
        if microscope_of(self) == microscope:
            return self
        seen = replace(self, metadata={**self.metadata, "microscope": asdict(microscope)})
        object.__setattr__(seen, "_whole", self._whole)
        object.__setattr__(seen, "_kept", self._kept)
        return seen

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

        All of a large series are a copy that may be overwritten; those of others must not be modified.
        """
        if not is_large(self.frames):
            return self._kept_missed if indices is None else self._kept_missed[indices]
        if indices is None:
            return self._stored_missed.stack(range(len(self)))
        wanted, where = np.unique(indices, return_inverse=True)
        return self._stored_missed.stack(wanted)[where.reshape(indices.shape)]

    @cached_property
    def _kept_missed(self) -> np.ndarray:
        return missed_by(self.object, self, np.arange(len(self)))

    @cached_property
    def _stored_missed(self) -> StoredArrays:
        stored = StoredArrays(len(self), self.frames.shape[1:], what="what the object misses in the frames")
        for k, missed in enumerate(missed_by(self.object, self, np.arange(len(self)))):
            stored[k] = missed
        return stored

    @cached_property
    def missed_noise(self) -> float:
        """The largest variance that white noise in the residual of the object can have."""
        return white_noise_bound(self.missed())

    @cached_property
    def residual_weights(self) -> np.ndarray:
        """`residual.residual_weights` (5, 5), learnt from every second frame between the first and the last.

        An object fitted to the others predicts them. With two frames, neither can be left out, and the weights are 1.
        Of large frames the judged rows tell.
        """
        if (part := judged_part(self)) is not self:
            return part.residual_weights
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
        return _or_raised(self._atoms_or_refusal)

    @property
    def dynamical(self) -> "DynamicalModel":  # noqa: F821
        """The multislice model of the fitted atoms, see `microscope_fit.fit_with_microscope`.

        In a `fold` the atoms are those of the fold, see `DynamicalModel.for_part`.
        """
        return _or_raised(self._dynamical_or_refusal)

    @property
    def microscope_remark(self) -> str:
        """Whether the method `dynamical` found another microscope than the stated one; empty if it was not tried."""
        model = self.__dict__.get("_dynamical_or_refusal")
        if model is None or isinstance(model, TsgError):
            return ""
        from .dynamical.microscope_fit import microscope_remark

        return microscope_remark(stated=microscope_of(self), fitted=model.multislice.microscope)

    @cached_property
    def _dynamical_or_refusal(self):
        from .dynamical.microscope_fit import fit_with_microscope  # torch takes a second to import

        try:
            if self._whole is not None:
                whole = self._whole.dynamical
                seen = self.seen_by(whole.multislice.microscope)
                return whole.for_part(seen, seen.atoms, part=self._kept)
            return fit_with_microscope(self)
        except TsgError as refused:
            return refused

    @cached_property
    def _atoms_or_refusal(self):
        from .atoms.fit import NotAtoms, fit_atoms

        if self._whole is not None and isinstance(refused := self._whole._atoms_or_refusal, NotAtoms):
            return refused  # what all frames do not show as atoms, some of them do not either
        try:
            return fit_atoms(self)
        except NotAtoms as refused:
            return refused


def _or_raised(found):
    """What was found, or a fresh copy of the refusal that was found in its place."""
    if isinstance(found, TsgError):
        raise type(found)(*found.args)
    return found
