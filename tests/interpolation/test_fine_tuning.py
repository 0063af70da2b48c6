import numpy as np
import pytest
from click.testing import CliRunner

from tsg_core.errors import TsgError
from tsg_core.interpolation.fine_tuning import fine_tune
from tsg_core.model import TSGNet
from tsg_core.model.file import load_model
from tsg_core.tilt_series import TiltSeries
from tsgbook.cli import tsg


def moving_stripe(n=25):
    """Frames in which a stripe moves by more than its width from one to the next: nothing for linear interpolation."""
    x = np.arange(32)
    places = np.linspace(4, 28, n)
    frames = np.exp(-(((x - places[:, None]) / 0.6) ** 2))[:, None, :] * np.ones((1, 16, 1))
    return TiltSeries(frames, np.linspace(-60, 60, n), 0.5)


@pytest.fixture(scope="module")
def untrained():
    return TSGNet(channels=(8, 8, 8, 8), linear_start=True)


@pytest.fixture(scope="module")
def tuned(untrained, tmp_path_factory):
    """What the command made of the stripe: its words, the file that it wrote, and the result it had of `fine_tune`."""
    folder, results = tmp_path_factory.mktemp("tuned"), []
    path, out = moving_stripe().write(folder / "in.npz"), folder / "out.safetensors"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tsg_core.interpolation.fine_tuning.network", lambda checkpoint: untrained)
        kept = lambda *a, **o: results.append(fine_tune(*a, **o)) or results[-1]  # noqa: E731
        patched.setattr("tsg_core.interpolation.fine_tuning.fine_tune", kept)
        said = CliRunner().invoke(tsg, ["tune", str(path), "-o", str(out), "--steps", "100"])
    return said, out, *results


def test_a_network_that_learns_from_the_series_proves_it_on_other_frames(tuned):
    found = tuned[2]
    assert found.tuned_dB > found.untuned_dB + 0.05 and found.model is not None
    assert found.untuned_dB == pytest.approx(found.linear_dB, abs=0.1)
    assert "tuning helps" in found.verdict


def test_noise_teaches_nothing(untrained):
    noise = TiltSeries(np.random.default_rng(0).uniform(size=(17, 16, 16)), np.arange(17.0), 1.0)
    found = fine_tune(noise, checkpoint=untrained, n_steps=1)
    assert found.model is None and "does not help" in found.verdict


def test_short_series_and_small_frames_are_refused():
    with pytest.raises(TsgError, match="5 measured frames are too few"):
        fine_tune(moving_stripe(5))
    with pytest.raises(TsgError, match="smaller than 16"):
        fine_tune(TiltSeries(np.ones((11, 8, 9)), np.arange(11.0), 1.0))


def test_the_command_writes_a_network_and_says_why(tuned, untrained):
    result, out, found = tuned
    assert result.exit_code == 0, result.output
    assert "tuning helps" in result.output and found.verdict in " ".join(result.output.split())
    assert load_model(out).architecture == untrained.architecture
