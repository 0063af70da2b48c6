import numpy as np

from tsg_core.interpolation.choice import RunningBlend

rng = np.random.default_rng(0)


def test_mean_and_variance_are_those_of_all_predictions_together():
    predicted, weights = rng.random((3, 4, 5, 6), dtype=np.float32), rng.random((3, 4))
    weights[1, 2] = 0
    blend = RunningBlend((4, 5, 6))
    for p, w in zip(predicted, weights, strict=True):
        blend.add(p, w)
    shares = (weights / weights.sum(axis=0))[..., None, None]
    mean = (shares * predicted).sum(axis=0)
    variance = (shares * (predicted - mean) ** 2).sum(axis=0)
    for k in range(4):
        frame, spread = blend.frame(k)
        np.testing.assert_allclose(frame, mean[k], rtol=1e-5)
        np.testing.assert_allclose(spread, variance[k], rtol=1e-3, atol=1e-6)


def test_one_prediction_comes_back_bit_for_bit():
    predicted = rng.random((2, 3, 4), dtype=np.float32)
    blend = RunningBlend(predicted.shape)
    blend.add(predicted, np.array([0.3, 1.0]))
    for k in range(2):
        np.testing.assert_array_equal(blend.frame(k)[0], predicted[k])
        assert not blend.frame(k)[1].any()
