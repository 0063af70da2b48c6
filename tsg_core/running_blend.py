"""A weighted mean of predictions that are held one at a time, and the variance between them."""

import numpy as np


class RunningBlend:
    """Mean and variance so far, as West, Communications of the ACM 22, 532 (1979) keeps them.

    frames   (n, n_y, n_x) float32, the mean
    squares  (n, n_y, n_x) float32, the weighted sum of squared differences from it
    """

    def __init__(self, shape: tuple[int, int, int]):
        self.frames, self.squares = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._weight = np.zeros(shape[0])

    def add(self, predicted: np.ndarray, weights: np.ndarray) -> None:
        """Take in a prediction (n, n_y, n_x), with a weight (n,) for each of its frames."""
        for k in np.flatnonzero(weights):
            first = self._weight[k] == 0
            self._weight[k] += weights[k]
            if first:  # memory that nothing is written to is not taken
                self.frames[k] = predicted[k]
                continue
            difference = predicted[k] - self.frames[k]
            self.frames[k] += np.float32(weights[k] / self._weight[k]) * difference
            self.squares[k] += np.float32(weights[k]) * difference * (predicted[k] - self.frames[k])

    def frame(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k-th mean (n_y, n_x) and the variance between its predictions."""
        return self.frames[k], self.squares[k].clip(0) / np.float32(self._weight[k])
