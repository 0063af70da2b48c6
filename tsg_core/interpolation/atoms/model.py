"""The result of a fit of atoms: their places and standard errors, and frames rendered from them at any tilt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from ase import Atoms

from ...reconstruction.blocks import StoredObject
from ...reconstruction.extent import extent_of
from ...tilt_series import TiltSeries
from ..angles import finite_angles
from ..fitted_object import FittedObject, fitted_object
from ..kriging import kriged
from .elements import Elements, elements_of
from .least_squares import AtomFrames, without_frames

LESS_INSIDE = 4.0  # about; variance of what atoms leave, over that where all frames look


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomModel:
    """The atoms found in a series: those whose middle enough frames show to fix them in space.

    Frames are rendered with the others, too, which lie near or outside the sides of an extended object.

    positions_A         (n, 3): x, y, z from the tilt axis and the middle of the frames
    cross_section_A2    (n,): sum over pixels of an atom's contribution, times the area of a pixel; if frames are
                        fractions of the beam, the cross-section for scattering onto the detector
    position_error_A, cross_section_error_A2   standard errors from the agreement among the frames (see `atom_errors`)
    sigma_A             the Gaussian in addition to the probe, or the whole probe if no microscope is known
    offset              constant part of all frames
    channelling         (18,) coefficients of `least_squares.TERMS`; None without the term
    gain, shift_A, tilt_error_deg   (n_tilt,), (n_tilt, 2) as x and y, (n_tilt,) of the frames
    explained           fraction of the variance of the frames' detail, without white noise and detail finer than atoms
    """

    positions_A: np.ndarray
    position_error_A: np.ndarray
    cross_section_A2: np.ndarray
    cross_section_error_A2: np.ndarray
    sigma_A: float
    offset: float
    channelling: np.ndarray | None
    gain: np.ndarray
    shift_A: np.ndarray
    tilt_error_deg: np.ndarray
    explained: float
    series: TiltSeries
    _fixed: np.ndarray
    _frames: AtomFrames
    _parameters: Mapping[str, torch.Tensor]
    _unit: float

    def __len__(self) -> int:
        return len(self.positions_A)

    def predict(self, tilt_deg, *, residual: bool = True) -> np.ndarray:
        """Frames (n, n_y, n_x) float32 at the angles `tilt_deg` (n,), in the unit of the series.

        `residual` adds what the atoms leave of the measured frames, kriged over the angle: each band of spatial
        frequencies counts as far as it persists, so that noise does not come back. Of an extended object, a volume in
        its box is fitted to the residual first, since what lies outside moves with the angle.
        Raises TsgError for angles that are not finite.
        """
        tilt_deg = finite_angles(tilt_deg)
        frames = self._rendered(replace(self._frames, tilt_deg=tilt_deg, frames=None))
        if residual:
            if self._rest is not None:
                frames += self._rest.frames(tilt_deg)
            frames += kriged(self._missed, measured_deg=self.series.tilt_deg, tilt_deg=tilt_deg)
        return frames.astype(np.float32)

    def as_ase(self, *, elements: str | Sequence[str] | None = None) -> Atoms:
        """ASE's `Atoms`, not periodic, in the box of the frames; `ase.io.write` turns them into an xyz or cif file.

        The tilt axis runs through the middle of the box. The arrays `cross_section_A2`, `cross_section_error_A2` and
        `position_error_A` are included. `elements` names those that the object contains: one for all atoms, or several,
        which the weights tell apart (see `elements.elements_of`). Without names, all atoms are "X".
        Raises TsgError for elements that the weights cannot tell apart.
        """
        _, n_y, n_x = self.series.frames.shape
        cell = np.array([n_x, n_y, n_x]) * self.series.pixel_size_A
        symbols = ["X"] * len(self) if elements is None else self.elements(elements).symbols
        atoms = Atoms(symbols, positions=self.positions_A + cell / 2, cell=cell, pbc=False)
        for name in ("cross_section_A2", "cross_section_error_A2", "position_error_A"):
            atoms.set_array(name, getattr(self, name))
        return atoms

    def elements(self, names: str | Sequence[str] | None = None, *, strict: bool = True) -> Elements:
        """The element of each atom by its weight, as `elements.elements_of` finds it."""
        microscope = self._frames.renderer.microscope
        weights = {"weights_A2": self.cross_section_A2, "errors_A2": self.cross_section_error_A2}
        return elements_of(**weights, microscope=microscope, names=names, strict=strict)

    def rendered(self) -> np.ndarray:
        """The atoms' own frames at the measured tilts (n_tilt, n_y, n_x), without residual."""
        return self._rendered(self._frames, per_frame=True)

    def of_groups(self, groups: np.ndarray, tilt_deg: np.ndarray) -> np.ndarray:
        """Frames (n_group, n_tilt, n_y, n_x) of the atoms of each group alone, channelled as among all; no offset.

        groups (n,): the group of each atom, from 0 on.
        """
        frames = replace(self._frames, tilt_deg=np.asarray(tilt_deg, float), frames=None)
        p = without_frames(self._parameters, n_tilt=len(frames))
        features = None if self.channelling is None else frames.features(p)
        parts = []
        for group in range(int(np.max(groups)) + 1):
            gone = torch.full(self._fixed.shape, -torch.inf)
            gone[np.flatnonzero(self._fixed)[np.asarray(groups) == group]] = 0.0
            alone = p | {"log_weight": p["log_weight"] + gone.to(p["log_weight"].device)}
            parts.append(frames.whole(alone | {"offset": 0 * p["offset"]}, features=features).cpu().numpy())
        return np.stack(parts) * np.float32(self._unit)

    @cached_property
    def residual(self) -> np.ndarray:
        """Measured frames minus rendered ones (n_tilt, n_y, n_x)."""
        return self.series.frames - self.rendered()

    @cached_property
    def _rest(self) -> FittedObject | StoredObject | None:
        """What the atoms leave of an extended object: less signal in the same noise."""
        if (extent := extent_of(self.series)) is None:
            return None
        fainter = float(self.series.frames.var() / max(self.residual.var(), 1e-30))
        extent = replace(extent, noise=extent.noise * fainter * LESS_INSIDE)
        metadata = {**self.series.metadata, "extent": extent}
        return fitted_object(replace(self.series, frames=self.residual, metadata=metadata))

    @cached_property
    def _missed(self) -> np.ndarray:
        """What the atoms and the rest leave of the measured frames (n_tilt, n_y, n_x)."""
        return self.residual if self._rest is None else self.residual - self._rest.frames(self.series.tilt_deg)

    def _rendered(self, frames: AtomFrames, *, per_frame: bool = False) -> np.ndarray:
        p = self._parameters if per_frame else without_frames(self._parameters, n_tilt=len(frames))
        features = None if self.channelling is None else frames.features(p)
        return frames.whole(p, features=features).cpu().numpy() * np.float32(self._unit)
