"""Fourier shell correlations against filters, brute force and cones."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.evaluation.spectra import ShellCorrelation, fourier_shell_correlation


def spatial_frequency(shape):
    """|q| in cycles per voxel over the whole Fourier space."""
    return np.sqrt(sum(q**2 for q in np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")))


def test_fsc_of_a_filtered_volume_ends_where_the_filter_does():
    rng = np.random.default_rng(0)
    shape, voxel_size_A = (30, 32, 32), 0.5
    signal, noise = rng.normal(size=(2, *shape))
    frequency = spatial_frequency(shape) / voxel_size_A
    cut_per_A = 0.45
    mixed = np.where(frequency < cut_per_A, np.fft.fftn(signal), np.fft.fftn(noise))
    curve = fourier_shell_correlation(signal, np.fft.ifftn(mixed).real, voxel_size_A=voxel_size_A)
    assert curve.frequency_per_A[0] == pytest.approx(1 / 15) and curve.frequency_per_A[-1] == pytest.approx(1.0)
    assert curve.correlation[curve.frequency_per_A < 0.4] == pytest.approx(1, abs=1e-4)
    assert np.abs(curve.correlation[curve.frequency_per_A > 0.5]).max() < 0.2
    assert curve.resolution_A(threshold=0.5) == pytest.approx(1 / cut_per_A, rel=0.08)


def test_fsc_is_that_of_the_whole_fourier_space():
    a, b = np.random.default_rng(1).normal(size=(2, 8, 9, 7))
    b += a
    f, g = np.fft.fftn(a), np.fft.fftn(b)
    curve = fourier_shell_correlation(a, b, voxel_size_A=1.0)
    for k, found in enumerate(curve.correlation, start=1):
        shell = np.rint(spatial_frequency(a.shape) * 7) == k
        expected = np.sum((f * g.conj())[shell]).real
        expected /= np.sqrt(np.sum(np.abs(f[shell]) ** 2) * np.sum(np.abs(g[shell]) ** 2))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_resolution_at_the_ends_of_the_curve():
    volume = np.random.default_rng(0).normal(size=(8, 8, 8))
    assert fourier_shell_correlation(volume, volume, voxel_size_A=0.5).resolution_A() == pytest.approx(1.0)
    assert np.isinf(fourier_shell_correlation(volume, -volume, voxel_size_A=0.5).resolution_A())


def test_crossings_lie_between_shells():
    curve = ShellCorrelation(frequency_per_A=np.array([0.1, 0.2, 0.3]), correlation=np.array([1.0, 0.6, 0.1]))
    assert curve.resolution_A(threshold=0.5) == pytest.approx(1 / 0.22)
    assert curve.resolution_A() == pytest.approx(1 / (0.2 + 0.1 * (0.6 - 0.143) / 0.5))


def known_in_a_wedge(shape, half_angle_deg, seed=0):
    """Noise, and the same with everything new but the frequencies whose angle with x in the plane (x, z) is small."""
    rng = np.random.default_rng(seed)
    signal, noise = rng.normal(size=(2, *shape))
    _, q_z, q_x = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")
    known = np.abs(q_z) <= np.tan(np.deg2rad(half_angle_deg)) * np.abs(q_x)
    return signal, np.fft.ifftn(np.where(known, np.fft.fftn(signal), np.fft.fftn(noise))).real


def test_a_cone_tells_the_directions_that_are_known_from_those_that_are_not():
    a, b = known_in_a_wedge((32, 32, 32), half_angle_deg=45)
    settings = {"voxel_size_A": 0.5, "half_angle_deg": 20}
    along_x = fourier_shell_correlation(a, b, direction=(1, 0, 0), **settings)
    along_z = fourier_shell_correlation(a, b, direction=(0, 0, -2), **settings)
    assert along_x.correlation == pytest.approx(1, abs=1e-3)
    assert np.abs(along_z.correlation[along_z.frequency_per_A > 0.3]).max() < 0.5
    assert along_x.resolution_A(threshold=0.5) == pytest.approx(1.0)
    tilted = (np.cos(np.deg2rad(20)), 0, np.sin(np.deg2rad(20)))
    assert fourier_shell_correlation(a, b, direction=tilted, **settings).correlation == pytest.approx(1, abs=1e-3)


def test_a_cone_of_90_degrees_is_all_and_shells_it_misses_are_left_out():
    a, b = np.random.default_rng(1).normal(size=(2, 12, 12, 12))
    b += a
    whole = fourier_shell_correlation(a, b, voxel_size_A=1.0)
    cone = fourier_shell_correlation(a, b, voxel_size_A=1.0, direction=(0, 1, 0), half_angle_deg=90)
    np.testing.assert_allclose(cone.correlation, whole.correlation, atol=1e-9)
    oblique = fourier_shell_correlation(a, b, voxel_size_A=1.0, direction=(3, 1, 2), half_angle_deg=4)
    assert 0 < len(oblique.frequency_per_A) < len(whole.frequency_per_A)
    assert set(oblique.frequency_per_A) <= set(whole.frequency_per_A)


@pytest.mark.parametrize(
    ("shapes", "options", "words"),
    [
        ([(12, 12, 12), (13, 13, 13)], {}, r"\(13, 13, 13\)"),
        ([(12, 12), (12, 12)], {}, r"\(12, 12\)"),
        ([(8, 8, 8)] * 2, {"voxel_size_A": 0}, "voxel_size_A=0"),
        ([(8, 8, 8)] * 2, {"direction": (0, 0, 0)}, "not all zero"),
        ([(8, 8, 8)] * 2, {"direction": (1, 0)}, r"direction=\[1.0, 0.0\]"),
        ([(8, 8, 8)] * 2, {"direction": (1, 0, 0), "half_angle_deg": 0}, "half_angle_deg=0"),
    ],
)
def test_bad_input(shapes, options, words):
    with pytest.raises(TsgError, match=words):
        fourier_shell_correlation(*map(np.ones, shapes), **{"voxel_size_A": 1.0, **options})


def test_values_that_are_not_finite_and_thresholds_that_are_none():
    volume = np.ones((8, 8, 8))
    with pytest.raises(TsgError, match="512 of 1024"):
        fourier_shell_correlation(volume, np.nan * volume, voxel_size_A=1.0)
    with pytest.raises(TsgError, match="threshold=1.5"):
        fourier_shell_correlation(volume, volume, voxel_size_A=1.0).resolution_A(threshold=1.5)
