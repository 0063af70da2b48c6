"""Projectors of slices as columns: A(x), the sums along the rays of some tilts, and A.T(y), back along the rays.

Every reconstruction method uses them: voxels (n_z * n_x, rows) -> rays (n_tilt * n_pixels, rows) and back.
`MatrixProjector` holds the system matrix; `TorchProjector` holds it on a GPU; `ray_sums.RaySums` computes the weights
on the fly, for slices whose matrix does not fit into memory.
"""

import warnings
from functools import cached_property

import numpy as np
import psutil
from scipy import sparse


class Projector:
    """What all projectors share: the sums of A's rows and columns, and their inverses, which SIRT needs."""

    def __call__(self, x):
        """A x: (n_voxels, rows) -> (n_rays, rows)"""
        raise NotImplementedError

    def T(self, y):
        """A^T y: (n_rays, rows) -> (n_voxels, rows)"""
        raise NotImplementedError

    @cached_property
    def ray_sums(self) -> np.ndarray:
        """(n_rays, 1) float32: the length of each ray inside the box."""
        raise NotImplementedError

    @cached_property
    def voxel_sums(self) -> np.ndarray:
        """(n_voxels, 1) float32: how much each voxel is seen."""
        raise NotImplementedError

    @cached_property
    def ray_scale(self) -> np.ndarray:
        """(n_rays, 1): the inverse of `ray_sums`, 0 where a ray meets no voxel."""
        return inverse(self.ray_sums)

    @cached_property
    def voxel_scale(self) -> np.ndarray:
        """(n_voxels, 1): the inverse of `voxel_sums`, 0 where a voxel meets no ray."""
        return inverse(self.voxel_sums)


class MatrixProjector(Projector):
    """The system matrix of `projection.system_matrix`."""

    def __init__(self, matrix: sparse.csr_array):
        self.matrix = matrix

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.matrix @ x

    def T(self, y: np.ndarray) -> np.ndarray:
        return self.matrix.T @ y

    @cached_property
    def ray_sums(self) -> np.ndarray:
        return np.asarray(self.matrix.sum(axis=1), np.float32)[:, None]

    @cached_property
    def voxel_sums(self) -> np.ndarray:
        return np.asarray(self.matrix.sum(axis=0), np.float32)[:, None]


class TorchProjector(Projector):
    """A matrix and its transpose as sparse torch tensors: a GPU can only multiply matrices with contiguous rows."""

    def __init__(self, matrix: sparse.csr_array):
        self.ray_sums, self.voxel_sums = MatrixProjector(matrix).ray_sums, MatrixProjector(matrix).voxel_sums
        self._forward, self._back = (_torch_matrix(m) for m in (matrix, matrix.T.tocsr()))

    def __call__(self, x):
        return self._forward @ x

    def T(self, y):
        return self._back @ y


def torch_array(array: np.ndarray):
    """The array on the GPU if there is one, else on the CPU."""
    import torch

    return torch.as_tensor(array, device="cuda" if torch.cuda.is_available() else "cpu")


def free_bytes_of_torch() -> int:
    """Free memory where `torch_array` puts arrays."""
    import torch

    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available


def inverse(sums: np.ndarray) -> np.ndarray:
    """1 / sums, and 0 where a sum vanishes."""
    sums = np.asarray(sums, np.float32)
    return np.divide(1, sums, out=np.zeros_like(sums), where=sums > 1e-6)


def _torch_matrix(matrix: sparse.csr_array):
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return torch.sparse_csr_tensor(
            *map(torch_array, (matrix.indptr, matrix.indices, matrix.data)), size=matrix.shape
        )
