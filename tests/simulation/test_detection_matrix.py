from dataclasses import replace

import abtem
import numpy as np
import pytest
from ase import Atoms

from tsg_core.errors import TsgError
from tsg_core.microscope import ABERRATED, NON_ABERRATED
from tsg_core.optics.probe import abtem_lens
from tsg_core.simulation.detection_matrix import detection_matrix
from tsg_core.simulation.multislice import tilted_cell

EXTENT_A, N_PIXELS, TILT_deg = 9.0, 36, 20.0
ATOMS = Atoms("AuPtAg", positions=[[-1.2, 0.8, 2.0], [1.4, -0.9, -1.5], [0.3, 1.9, 0.4]])


@pytest.fixture(scope="module")
def matrix():
    return detection_matrix(
        ATOMS,
        microscope=NON_ABERRATED,
        tilt_deg=TILT_deg,
        extent_A=EXTENT_A,
        cone_mrad=36,
        gpts=144,
        parametrization="lobato",
    )


def abtem_values(microscope, pixels, *, extent_A, thickness_A):
    """abTEM's multislice at the centres of some pixels, in a box that holds the whole probe."""
    gpts = int(np.ceil(extent_A / 0.0625))
    cell = tilted_cell(ATOMS, tilt_deg=TILT_deg, extent_A=(extent_A, extent_A))
    lens = abtem_lens(replace(microscope, defocus_A=microscope.defocus_A + thickness_A / 2))
    places = [[(i + 0.5) * EXTENT_A / N_PIXELS + (extent_A - EXTENT_A) / 2 for i in pixel[::-1]] for pixel in pixels]
    with abtem.config.set({"diagnostics.progress_bar": False}):
        potential = abtem.Potential(cell, gpts=gpts, slice_thickness=1.5, parametrization="lobato")
        detector = abtem.AnnularDetector(microscope.detector_inner_mrad, microscope.detector_outer_mrad)
        scan = abtem.CustomScan(places)
        return np.asarray(abtem.Probe(**lens).scan(potential, scan=scan, detectors=detector).compute().array)


@pytest.mark.parametrize(("microscope", "extent_A"), [(NON_ABERRATED, 12.0), (ABERRATED, 32.0)])
def test_values_are_those_of_multislice_for_probes_narrower_and_wider_than_the_box(matrix, microscope, extent_A):
    pixels = [(20, 14), (14, 23), (25, 19), (18, 18), (6, 6)]
    image = matrix._scan(microscope, n_pixels=N_PIXELS, pixel_size_A=EXTENT_A / N_PIXELS)
    true = abtem_values(microscope, pixels, extent_A=extent_A, thickness_A=matrix.thickness_A)
    np.testing.assert_allclose([image[p] for p in pixels], true, atol=0.04 * true.max())


def test_the_matrix_is_hermitian_and_positive(matrix):
    dense = matrix.matrix.numpy()
    np.testing.assert_allclose(dense, dense.conj().T, atol=1e-6 * np.abs(dense).max())
    assert np.linalg.eigvalsh(dense.astype(np.complex128)).min() > -1e-5 * np.abs(dense).max()


def test_a_frame_keeps_the_scan_s_total(matrix):
    scanned = matrix._scan(NON_ABERRATED, n_pixels=N_PIXELS, pixel_size_A=EXTENT_A / N_PIXELS)
    assert matrix.frame(NON_ABERRATED, n_pixels=N_PIXELS).sum() == pytest.approx(scanned.sum(), rel=1e-5)


def test_a_particle_at_the_window_s_flank_is_refused():
    with pytest.raises(TsgError, match="do not fit a box of 4 A"):
        detection_matrix(ATOMS, microscope=NON_ABERRATED, tilt_deg=0.0, extent_A=4.0)


def test_a_cone_that_reaches_the_detector_is_refused():
    with pytest.raises(TsgError, match="reaches the detector"):
        detection_matrix(ATOMS, microscope=NON_ABERRATED, tilt_deg=0.0, extent_A=EXTENT_A, cone_mrad=50)
