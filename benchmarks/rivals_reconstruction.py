"""Volumes by this project and by other packages, all (n_y, n_z, n_x) in this project's geometry and units.

An adapter takes a series and options and returns a `Made`: a volume, or positions of atoms where a method has no
volume. Packages that turn the other way get angles of the other sign; scikit-image, whose axis passes through a pixel
and not between two, gets frames shifted by half a pixel, and its volume is shifted back.
"""

import contextlib
import io
import tempfile
import time
from dataclasses import dataclass

import numpy as np
from rival import OURS, Rival
from scipy import fft
from scipy.ndimage import fourier_shift

from tsg_core.interpolation import densify
from tsg_core.interpolation.atoms.fit import fit_atoms
from tsg_core.reconstruction import os_em, sirt, tv
from tsg_core.tilt_series import TiltSeries

FIELD_BATCH = 512  # rays


@dataclass(frozen=True, kw_only=True)
class Made:
    """A volume (n_y, n_z, n_x), or the positions (n, 3) in angstrom of a method that only has atoms."""

    volume: np.ndarray | None = None
    positions_A: np.ndarray | None = None


def own_sirt(series: TiltSeries, *, n_iterations: int) -> Made:
    return Made(volume=sirt(series, n_iterations=n_iterations, non_negative=True, allow_negative=True))


def own_em(series: TiltSeries, *, n_iterations: int) -> Made:
    return Made(volume=os_em(series, n_iterations=n_iterations, allow_negative=True))


def own_tv(series: TiltSeries, *, weight: float) -> Made:
    weight *= series.intensity_scale
    return Made(volume=tv(series, weight=weight, n_iterations=100, allow_negative=True))


def own_mix(series: TiltSeries, *, method: str) -> Made:
    """SIRT from the measured frames and from those predicted half-way between them."""
    between_deg = (series.tilt_deg[1:] + series.tilt_deg[:-1]) / 2
    dense = densify(series, tilt_deg=np.union1d(series.tilt_deg, between_deg), method=method)
    return own_sirt(dense, n_iterations=30)


def own_atoms(series: TiltSeries) -> Made:
    return Made(positions_A=fit_atoms(series).positions_A)


def astra(series: TiltSeries, *, algorithm: str, n_iterations: int) -> Made:
    """ASTRA's 2D algorithms on the processor, slice by slice, with the linear projector."""
    import astra

    n_y, n_x = series.frames.shape[1:]
    slices = astra.create_vol_geom(n_x, n_x)
    angles = astra.create_proj_geom("parallel", 1.0, n_x, -np.deg2rad(series.tilt_deg))
    projector = astra.create_projector("linear", angles, slices)
    sinogram, image = astra.data2d.create("-sino", angles), astra.data2d.create("-vol", slices)
    keys = {"ProjectorId": projector, "ProjectionDataId": sinogram, "ReconstructionDataId": image}
    option = {"MinConstraint": 0.0} if algorithm == "SIRT" else {}
    volume = np.empty((n_y, n_x, n_x), np.float32)
    for row in range(n_y):
        astra.data2d.store(sinogram, _sinogram(series, row))
        astra.data2d.store(image, 0.0)
        run = astra.algorithm.create({"type": algorithm, **keys, "option": option})  # CGLS keeps its directions
        astra.algorithm.run(run, n_iterations)
        astra.algorithm.delete(run)
        volume[row] = astra.data2d.get(image)
    astra.data2d.delete([sinogram, image])
    astra.projector.delete(projector)
    return Made(volume=volume)


def tomopy(series: TiltSeries, *, n_iterations: int) -> Made:
    return Made(volume=sirt(series, n_iterations=n_iterations, engine="tomopy", allow_negative=True))


def svmbir(series: TiltSeries, *, sharpness: float, snr_db: float) -> Made:
    """Model-based reconstruction: a prior on neighbouring voxels, positivity, no probe in the model."""
    import svmbir

    with tempfile.TemporaryDirectory() as folder, _quiet():
        volume = svmbir.recon(
            np.ascontiguousarray(series.frames),
            -np.deg2rad(series.tilt_deg),
            sharpness=sharpness,
            snr_db=snr_db,
            weight_type="unweighted",
            svmbir_lib_path=folder,
            verbose=0,
        )
    return Made(volume=volume.transpose(0, 2, 1))


def tomobar(series: TiltSeries, *, algorithm: str, n_iterations: int) -> Made:
    """ToMoBAR on the processor, slice by slice; its regularisers are in a package that pip cannot get."""
    with _quiet():
        from tomobar.methodsIR import RecToolsIR

    n_y, n_x = series.frames.shape[1:]
    tools = RecToolsIR(n_x, 0, None, 0.0, -np.deg2rad(series.tilt_deg), n_x, "LS", "cpu")
    options = {"iterations": n_iterations, "nonnegativity": algorithm == "FISTA", "recon_mask_radius": 2.0}
    volume = np.empty((n_y, n_x, n_x), np.float32)
    projected = tools.Atools._forwproj
    tools.Atools._forwproj = lambda image: projected(np.asarray(image, np.float32))  # FISTA's are double with NumPy 2
    with _quiet():
        if algorithm == "FISTA":
            options["lipschitz_const"] = tools.powermethod({"projection_norm_data": _sinogram(series, n_y // 2)})
        for row in range(n_y):
            volume[row] = getattr(tools, algorithm)({"projection_norm_data": _sinogram(series, row)}, dict(options))
    return Made(volume=volume)


def scikit_image(series: TiltSeries, *, algorithm: str, filter_name: str = "ramp", n_iterations: int = 1) -> Made:
    from skimage.transform import iradon, iradon_sart

    theta_deg, n_x = series.tilt_deg, series.frames.shape[2]
    frames = _shifted(series.frames, (0, 0, 0.5)) if n_x % 2 == 0 else series.frames
    slices = []
    for sinogram in frames.transpose(1, 2, 0).astype(np.float64):
        if algorithm == "iradon":
            image = iradon(sinogram, theta=theta_deg, filter_name=filter_name, circle=True)
        else:
            image = None
            for _ in range(n_iterations):
                image = iradon_sart(sinogram, theta=theta_deg, image=image, clip=(0, np.inf))
        slices.append(image)
    volume = np.flip(np.stack(slices), axis=1)
    return Made(volume=_shifted(volume, (0, 0.5, -0.5)) if n_x % 2 == 0 else volume)


def neural_field(series: TiltSeries, *, width: int, rate: float, seconds: float) -> Made:
    """quantEM's H-Siren, trained on single rays for a stated time on the processor; the tilts are held fixed.

    Its frames are square, have the tilt axis along their columns, and are fewer than their pixels along a side. Others
    are framed by zeros, as many on both sides of the axis.
    """
    import torch
    from quantem.core.ml.inr import HSiren
    from quantem.core.ml.optimizer_mixin import OptimizerParams
    from quantem.tomography.dataset_models import TomographyINRDataset
    from quantem.tomography.object_models import ObjectINR
    from quantem.tomography.tomography import Tomography

    _, n_y, n_x = series.frames.shape
    n = max(n_y, n_x)
    n += (n - n_x) % 2
    side = (n - n_x) // 2
    framed = np.pad(series.frames, [(0, 0), (0, n - n_y), (side, side)])
    scale = float(series.frames.max())
    torch.manual_seed(0)
    data = TomographyINRDataset.from_data(
        np.ascontiguousarray(framed.transpose(0, 2, 1)),
        series.tilt_deg.astype(np.float32),
        learn_shift=False,
        learn_tilt_axis=False,
        norm_quantile=False,
    )
    model = HSiren(hidden_layers=2, hidden_features=width, alpha=1, winner_initialization=72)
    with _quiet():
        object_model = ObjectINR.from_model(model=model, shape=(n, n, n), device="cpu", rng=0)
        field = Tomography.from_models(data, object_model, device="cpu", verbose=False, rng=0)
    options = {
        "batch_size": FIELD_BATCH,
        "num_workers": 0,
        "num_samples_per_ray": n // 2,
        "obj_constraints": {"name": "obj_inr", "positivity": True},
        "optimizer_params": {"object": OptimizerParams.Adam(lr=rate)},
    }
    end_s = time.process_time() + seconds
    with _quiet():
        while time.process_time() < end_s:
            field.reconstruct(num_iter=1, **options)
            options["optimizer_params"] = None  # keeps the optimiser with its moments
    density = object_model.create_volume(return_vol=True)[0].numpy()  # (y, x, z)
    inside = slice(side, side + n_x)
    return Made(volume=density.transpose(0, 2, 1)[:n_y, inside, inside] * (scale * 2 / (n - 1)))


def _sinogram(series: TiltSeries, row: int) -> np.ndarray:
    return np.ascontiguousarray(series.frames[:, row])


def _shifted(array: np.ndarray, shift_px: tuple[float, float, float]) -> np.ndarray:
    return fft.ifftn(fourier_shift(fft.fftn(array), shift_px)).real.astype(np.float32)


def _quiet():
    return contextlib.redirect_stdout(io.StringIO())


RIVALS = (
    Rival(
        name="tsg SIRT",
        package=OURS,
        module="tsg_core",
        run=own_sirt,
        settings=tuple({"n_iterations": n} for n in (10, 30, 100)),
    ),
    Rival(
        name="tsg OS-EM",
        package=OURS,
        module="tsg_core",
        run=own_em,
        settings=tuple({"n_iterations": n} for n in (1, 3, 10)),
    ),
    Rival(
        name="tsg TV",
        package=OURS,
        module="tsg_core",
        run=own_tv,
        settings=tuple({"weight": w} for w in (0.003, 0.01, 0.03)),
    ),
    Rival(
        name="tsg Mix",
        package=OURS,
        module="tsg_core",
        run=own_mix,
        settings=tuple({"method": m} for m in ("linear", "reprojection", "informed")),
    ),
    Rival(
        name="tsg atoms",
        package=OURS,
        module="tsg_core",
        run=own_atoms,
        settings=({},),
    ),
    Rival(
        name="ASTRA",
        package="astra-toolbox",
        module="astra",
        run=astra,
        settings=(
            {"algorithm": "SIRT", "n_iterations": 30},
            {"algorithm": "SIRT", "n_iterations": 100},
            {"algorithm": "CGLS", "n_iterations": 10},
        ),
        install="pip install astra-toolbox",
    ),
    Rival(
        name="TomoPy",
        package="tomopy",
        module="tomopy",
        run=tomopy,
        settings=tuple({"n_iterations": n} for n in (10, 30, 100)),
        install="PyPI has no build of it; conda install -c conda-forge tomopy",
    ),
    Rival(
        name="svmbir",
        package="svmbir",
        module="svmbir",
        run=svmbir,
        settings=(
            {"sharpness": 0.0, "snr_db": 30.0},
            {"sharpness": 1.0, "snr_db": 35.0},
            {"sharpness": 2.0, "snr_db": 40.0},
        ),
        install="pip install svmbir",
    ),
    Rival(
        name="ToMoBAR",
        package="tomobar",
        module="tomobar",
        run=tomobar,
        settings=(
            {"algorithm": "SIRT", "n_iterations": 30},
            {"algorithm": "CGLS", "n_iterations": 10},
            {"algorithm": "FISTA", "n_iterations": 30},
        ),
        install="pip install --no-deps tomobar (its dependency CuPy needs CUDA)",
    ),
    Rival(
        name="scikit-image",
        package="scikit-image",
        module="skimage",
        run=scikit_image,
        settings=(
            {"algorithm": "iradon", "filter_name": "hann"},
            {"algorithm": "iradon_sart", "n_iterations": 2},
            {"algorithm": "iradon_sart", "n_iterations": 6},
        ),
    ),
    Rival(
        name="quantEM field",
        package="quantem",
        module="quantem",
        run=neural_field,
        settings=(
            {"width": 64, "rate": 1e-3},
            {"width": 64, "rate": 3e-4},
            {"width": 128, "rate": 1e-3},
        ),
        install="pip install quantem",
        trained=True,
    ),
)
