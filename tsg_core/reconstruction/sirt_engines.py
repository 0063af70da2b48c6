"""SIRT by other packages: ASTRA and TomoPy, in this project's geometry."""

import importlib
from types import ModuleType

import numpy as np

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.threads import in_threads, n_threads


def astra_sirt(series: TiltSeries, *, n_iterations: int, non_negative: bool, axis_shift_px: float) -> np.ndarray:
    astra = _optional("astra", "pip install astra-toolbox")
    n_y, n_x = series.frames.shape[1:]
    # ASTRA's rows descend with its y, so that with angles of the other sign they ascend with z
    volume_geometry = astra.create_vol_geom(n_x, n_x)
    geometry = astra.create_proj_geom("parallel", 1.0, n_x, np.deg2rad(-series.tilt_deg))
    geometry = astra.geom_postalignment(geometry, -axis_shift_px) if axis_shift_px else geometry
    volume = np.empty((n_y, n_x, n_x), np.float32)
    constraint = {"MinConstraint": 0.0} if non_negative else {}

    def reconstruct(row: int) -> None:
        projector = astra.create_projector("linear", geometry, volume_geometry)
        sinogram = astra.data2d.create("-sino", geometry, np.ascontiguousarray(series.frames[:, row]))
        image = astra.data2d.create("-vol", volume_geometry)
        algorithm = astra.algorithm.create(
            {
                "type": "SIRT",
                "ProjectorId": projector,
                "ProjectionDataId": sinogram,
                "ReconstructionDataId": image,
                "option": constraint,
            }
        )  # fmt: skip
        try:
            astra.algorithm.run(algorithm, n_iterations)
            volume[row] = astra.data2d.get(image)
        finally:
            astra.algorithm.delete(algorithm)
            astra.data2d.delete([sinogram, image])
            astra.projector.delete(projector)

    in_threads(reconstruct, range(n_y))
    return volume


def tomopy_sirt(series: TiltSeries, *, n_iterations: int, non_negative: bool, axis_shift_px: float) -> np.ndarray:
    tomopy = _optional("tomopy", "conda install -c conda-forge tomopy")
    n_x = series.frames.shape[2]
    volume = tomopy.recon(
        series.frames,
        np.deg2rad(-series.tilt_deg),
        center=n_x / 2 + axis_shift_px,
        algorithm="sirt",
        num_iter=n_iterations,
        ncore=n_threads(),
    )
    return np.asarray(volume, np.float32)


def _optional(module: str, how: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise TsgError(f'engine="{module}" is not installed; install it by: {how}') from error
