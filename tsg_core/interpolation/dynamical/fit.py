"""Frames of fitted atoms computed by multislice, brought to the scale of the measured ones.

The method `atoms` renders an atom as a spot, whose brightness depends on its neighbours. It lacks diffraction, which
under a wide probe makes up most of what changes from frame to frame. Multislice of the same atoms has all of it. It
needs the element of each atom, and positions known to a picometre or two, as the fit of the spots finds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from ase import Atoms

from ...tilt_series import TiltSeries
from ..angles import finite_angles
from ..atoms.elements import Elements, rescaled
from ..atoms.model import AtomModel
from ..atoms.rendering import detail
from ..kriging import kriged
from .multislice_atoms import MultisliceAtoms, MultisliceSettings, needed_microscope
from .scale import Scale, fitted_scale

N_CALIBRATING = 3  # frames that show by how much the cross-sections of elements without names are wrong


@dataclass(frozen=True, kw_only=True, eq=False)
class DynamicalModel:
    """Atoms with elements, and how their multislice frames compare with the measured ones.

    spots       the same atoms as the method `atoms` renders them
    elements    of the atoms
    multislice  their frames by multislice
    scale       from these to the frames of the series
    modelled    (n_tilt, n_y, n_x) at the measured tilts, in the unit of the series
    """

    series: TiltSeries
    spots: AtomModel
    elements: Elements
    multislice: MultisliceAtoms
    scale: Scale
    modelled: np.ndarray

    def predict(self, tilt_deg, *, residual: bool = True) -> np.ndarray:
        """Frames (n, n_y, n_x) float32 at the angles `tilt_deg` (n,), in the unit of the series.

        `residual` adds what the model leaves of the measured frames, kriged over the angle.
        Raises TsgError for angles that are not finite, and as `MultisliceAtoms.frames` does.
        """
        tilt_deg = finite_angles(tilt_deg)
        frames = self.scale(self.multislice.frames(tilt_deg), pixel_size_A=self.series.pixel_size_A)
        if residual:
            frames = frames + kriged(self.residual, measured_deg=self.series.tilt_deg, tilt_deg=tilt_deg)
        return frames.astype(np.float32)

    def as_ase(self) -> Atoms:
        """The atoms with their elements, otherwise as `AtomModel.as_ase` returns them."""
        atoms = self.spots.as_ase()
        atoms.symbols = self.elements.symbols
        return atoms

    @cached_property
    def residual(self) -> np.ndarray:
        """Measured frames minus modelled ones (n_tilt, n_y, n_x)."""
        return self.series.frames - self.modelled

    @cached_property
    def beyond_spots(self) -> np.ndarray:
        """What multislice says beyond the spots at the measured tilts (n_tilt, n_y, n_x)."""
        return self.modelled - self.spots.rendered()

    def for_part(self, series: TiltSeries, spots: AtomModel, *, part: np.ndarray) -> "DynamicalModel":
        """The model of a part of the series, from spots that were fitted to this part alone.

        Its frames at the measured tilts are those of the whole series, changed as the spots change, so that only the
        predicted frames need multislice. `part` are indices into the whole series.
        """
        elements = spots.elements(self.elements.clusters, strict=False)
        multislice = _multislice(series, spots, elements, settings=self.multislice.settings)
        modelled = spots.rendered() + self.beyond_spots[part]
        return replace(self, series=series, spots=spots, elements=elements, multislice=multislice, modelled=modelled)


def fit_dynamical(
    series: TiltSeries,
    spots: AtomModel,
    *,
    names: Sequence[str] | None = None,
    settings: MultisliceSettings = MultisliceSettings(),
) -> DynamicalModel:
    """The dynamical model of a series from its fitted atoms; `names` are the elements that the object contains.

    Without names, elements are those of the nearest cross-sections, after a few frames have shown by how much the
    weights of the spots are wrong.
    Raises TsgError without a microscope, for elements that cannot be found (see `elements_of`), and as
    `MultisliceAtoms.frames` does.
    """
    elements, multislice = with_named_atoms(series, spots, names=names, settings=settings)
    return scaled_model(series, spots, elements, multislice)


def with_named_atoms(
    series: TiltSeries,
    spots: AtomModel,
    *,
    names: Sequence[str] | None = None,
    settings: MultisliceSettings = MultisliceSettings(),
) -> tuple[Elements, MultisliceAtoms]:
    """The elements of fitted atoms, and the atoms with them, as `fit_dynamical` finds them.

    Raises TsgError as that does.
    """
    microscope = needed_microscope(series)
    elements = spots.elements(names, strict=False)
    multislice = _multislice(series, spots, elements, settings=settings)
    if names is None:
        some = series.subset(np.unique(np.linspace(0, len(series) - 1, N_CALIBRATING).round().astype(int)))
        brighter = _brighter(some, spots, elements, multislice.frames(some.tilt_deg))
        elements = rescaled(elements, brighter, microscope)
        if list(elements.symbols) != multislice.atoms.get_chemical_symbols():
            multislice = _multislice(series, spots, elements, settings=settings)
    return elements, multislice


def scaled_model(
    series: TiltSeries, spots: AtomModel, elements: Elements, multislice: MultisliceAtoms
) -> DynamicalModel:
    """The dynamical model of atoms with elements: their frames are computed and brought to the scale of the series.

    Raises TsgError as `MultisliceAtoms.frames` does.
    """
    computed = multislice.frames(series.tilt_deg)
    scale = fitted_scale(computed, series.frames, pixel_size_A=series.pixel_size_A)
    return DynamicalModel(
        series=series,
        spots=spots,
        elements=elements,
        multislice=multislice,
        scale=scale,
        modelled=scale(computed, pixel_size_A=series.pixel_size_A),
    )


def _brighter(series: TiltSeries, spots: AtomModel, elements: Elements, computed: np.ndarray) -> np.ndarray:
    """How many times brighter the atoms of each cluster (n_cluster,) are in measured frames than in computed ones.

    The spots of each cluster are fitted to the detail of both, so that what spots lack is in both alike.
    """
    groups = spots.of_groups(elements.groups, series.tilt_deg)
    sizes = {"pixel_size_A": series.pixel_size_A}
    basis = np.stack([detail(frames, **sizes).ravel() for frames in groups], axis=1)
    both = np.stack([detail(frames, **sizes).ravel() for frames in (series.frames, computed)], axis=1)
    in_measured, in_computed = np.linalg.lstsq(basis, both, rcond=None)[0].T
    return in_measured.clip(1e-6) / in_computed.clip(1e-6)


def _multislice(
    series: TiltSeries, spots: AtomModel, elements: Elements, *, settings: MultisliceSettings
) -> MultisliceAtoms:
    return MultisliceAtoms(
        atoms=Atoms(elements.symbols, positions=spots.positions_A),
        microscope=needed_microscope(series),
        shape=series.frames.shape[1:],
        pixel_size_A=series.pixel_size_A,
        settings=settings,
    )
