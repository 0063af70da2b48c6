"""The image of a scanned probe from a detection matrix: sums over pairs of waves with equal differences.

A probe at r, cut to the box by a window w, is the sum over its plane waves q of a_q w(x) exp(2 pi i q (x - r)). The
detector then collects

    I(r) = sum_s exp(2 pi i s r) sum_q a*_q D'(q, q - s) a_(q - s),    D'(q, p) = sum_kl w(q - k) D(k, l) w(p - l)

with the Fourier coefficients w of the window. A whole image therefore costs two changes of basis, each a product along
one axis and then the other, and one sum over the entries of D'. The image is known between all scan points, since it
has no other frequencies s. The density of the waves q depends on the width of the probe, not on the box. Another
microscope changes the amplitudes a alone, so that several share the changes of basis.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ..microscope import Microscope
from ..optics.probe import probe_wave

_BLOCK_BYTES = 2e8  # transformed to the new basis at once


def scan_spectra(
    matrix: torch.Tensor,
    waves: np.ndarray,
    *,
    microscopes: Sequence[Microscope],
    box_A: tuple[float, float],
    flank_A: float,
    period_A: tuple[float, float],
) -> torch.Tensor:
    """Fourier coefficients (n, 4 m_y + 1, 4 m_x + 1) complex64 of the scanned images, from -2 m to 2 m.

    Frequencies are in units of 1 / period; the origin is the middle of the box, and m is the edge of the widest
    aperture.
    `matrix` (n, n), Hermitian, is over waves (n, 2) in units of 1 / box. Only pairs q, p with q_y >= p_y are summed,
    since the image is real.
    """
    device = matrix.device
    amplitudes = [
        torch.as_tensor(one, dtype=torch.complex64, device=device) for one in _together(microscopes, period_A=period_A)
    ]
    n_y, n_x = amplitudes[0].shape[1:]
    to_probe = [
        torch.as_tensor(_change_of_basis(n // 2, waves[:, axis], box_A[axis], period_A[axis], flank_A), device=device)
        for axis, n in enumerate((n_y, n_x))
    ]
    square = _square_index(waves).to(device)
    upper = torch.zeros(len(amplitudes), n_y, 2 * n_x - 1, dtype=torch.complex64, device=device)  # s_y from 0 on
    skewed = torch.zeros(n_y, n_x, 2 * n_x, dtype=torch.complex64, device=device)
    w_y, w_x = to_probe
    backwards = w_x.flip(1)
    for first, lines in _lines(matrix, square, w_y, w_x):
        for q_y, line in enumerate(lines, start=first):
            pairs = _in_new_basis(line, square, w_y[:, : q_y + 1], backwards)
            for image, probes in zip(upper, amplitudes, strict=True):
                both = torch.einsum("fj,fyi->yij", probes[:, q_y].conj(), probes[:, : q_y + 1].flip(2))
                torch.mul(pairs, both, out=both)
                skewed[: q_y + 1, :, :n_x] = both
                # a row of 2 n - 1 instead of 2 n moves each by one further: differences q_x - p_x stand in columns
                apart = skewed[: q_y + 1].flatten(1)[:, : n_x * (2 * n_x - 1)].unflatten(1, (n_x, -1)).sum(dim=1)
                image[: q_y + 1] += apart.flip(0)
    return torch.cat([upper[:, 1:].flip(1, 2).conj(), upper], dim=1) * float(np.prod(box_A))


def _lines(matrix: torch.Tensor, square: torch.Tensor, w_y: torch.Tensor, w_x: torch.Tensor):
    """The first of some lines q_y and the matrix (lines, n, n_x), its rows over the probe's waves and transposed."""
    (n_y, n_x), n = (w_y.shape[1], w_x.shape[1]), len(matrix)
    at_once = max(1, int(_BLOCK_BYTES / (8 * n * n_x)))
    columns = max(1, int(_BLOCK_BYTES / (8 * max(square.max() + 1, at_once * n_x))))
    for first in range(0, n_y, at_once):
        some = w_y[:, first : first + at_once]
        lines = torch.empty(some.shape[1], n, n_x, dtype=matrix.dtype, device=matrix.device)
        for low in range(0, n, columns):
            part = _in_new_basis(matrix[:, low : low + columns], square, some, w_x)
            lines[:, low : low + columns] = part.transpose(1, 2)
        yield first, lines


def _square_index(waves: np.ndarray) -> torch.Tensor:
    """Indices of waves (n, 2) in the rectangle of all pairs of their frequencies."""
    y, x = (waves - waves.min(axis=0)).T
    return torch.as_tensor(y * (x.max() + 1) + x)


def _in_new_basis(rows: torch.Tensor, square: torch.Tensor, w_y: torch.Tensor, w_x: torch.Tensor) -> torch.Tensor:
    """Columns (n, b) over the waves of the box, as (q_y, q_x, b) over those of the probe, one axis after the other."""
    b = rows.shape[1]
    filled = torch.zeros(len(w_y) * len(w_x), b, dtype=rows.dtype, device=rows.device).index_copy_(0, square, rows)
    real = torch.view_as_real(filled).reshape(len(w_y), -1)
    changed = w_x.T @ (w_y.T @ real).reshape(-1, len(w_x), 2 * b)
    return torch.view_as_complex(changed.unflatten(2, (b, 2)))


def _together(microscopes: Sequence[Microscope], *, period_A: tuple[float, float]) -> list[np.ndarray]:
    """The `_probes` of several microscopes, with zeros up to the edge of the widest aperture."""
    probes = [_probes(microscope, period_A=period_A) for microscope in microscopes]
    widest = np.max([one.shape[1:] for one in probes], axis=0)
    missing = [(widest - one.shape[1:]) // 2 for one in probes]
    return [np.pad(one, ((0, 0), (y, y), (x, x))) for one, (y, x) in zip(probes, missing, strict=True)]


def _probes(microscope: Microscope, *, period_A: tuple[float, float]) -> np.ndarray:
    """Amplitudes (n_focus, 2 m_y + 1, 2 m_x + 1) of the probe's waves, frequencies from -m to m, for a box of any size.

    Each focus is weighted by the root of its share; all squares together sum to 1 / area of the period.
    """
    gpts = tuple(2 * int(np.ceil(extent / microscope.nyquist_sampling_A / 1.6)) for extent in period_A)
    spectra = [
        np.sqrt(share) * np.fft.fft2(np.fft.ifftshift(probe_wave(focused, extent_A=period_A, gpts=gpts)))
        for share, focused in microscope.foci()
    ]
    spectra = np.fft.fftshift(spectra, axes=(1, 2)) / np.sqrt(np.prod(gpts) * np.prod(period_A))
    spectra[np.abs(spectra) < 1e-6 * np.abs(spectra).max()] = 0
    y, x = np.nonzero((spectra != 0).any(axis=0))
    (m_y, m_x), middle = (np.abs(k - n // 2).max() for k, n in zip((y, x), gpts, strict=True)), [n // 2 for n in gpts]
    return spectra[:, middle[0] - m_y : middle[0] + m_y + 1, middle[1] - m_x : middle[1] + m_x + 1]


def _change_of_basis(m: int, waves: np.ndarray, box_A: float, period_A: float, flank_A: float) -> np.ndarray:
    """Coefficients (n_k, 2 m + 1) on the box's waves k, from their least to their greatest, of windowed waves q."""
    k = np.arange(waves.min(), waves.max() + 1) / box_A
    q = np.arange(-m, m + 1) / period_A
    return window_coefficients(q - k[:, None], box_A=box_A, flank_A=flank_A).astype(np.float32)


def window_coefficients(frequency: np.ndarray, *, box_A: float, flank_A: float) -> np.ndarray:
    """Fourier coefficients of the window over the box: 1 in its middle, squared cosines of `flank_A` at both edges.

    It is a rectangle convolved with half a wave of a cosine, so that its transform is a product of two in closed form.
    """
    width_A = box_A - flank_A
    u = 2 * flank_A * frequency
    pole = np.isclose(np.abs(u), 1)
    smooth = np.where(pole, np.pi / 4, np.cos(np.pi / 2 * u) / np.where(pole, 1, 1 - u**2))
    return width_A / box_A * np.sinc(width_A * frequency) * smooth
