"""Lowest values of quadratic forms at non-negative arguments."""

import numpy as np
from scipy.optimize import nnls


def lowest_quadratic(gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """The x >= 0 that minimises x gram x - 2 moment x, which is |A x - b|^2 for gram = A^T A and moment = A^T b."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-12 * values.max()
    root = np.sqrt(values[kept])
    return nnls(root[:, None] * vectors[:, kept].T, vectors[:, kept].T @ moment / root)[0]
