"""The experiments: what their rows hold, and that an interrupted one goes on where it was."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from tsg_core.evaluation import image_metrics
from tsg_core.geometry import pixel_centres_A
from tsg_core.microscope import NON_ABERRATED
from tsg_core.model import TSGNet
from tsg_core.model.file import save_model
from tsg_core.tilt_series import TiltSeries
from tsgbook.experiments import frames_and_volumes, tables


def places(seed):
    return np.random.default_rng(seed).uniform(-3, 3, (3, 3))


def spots(seed, *, step_deg=6.0, n=24):
    """A series of three Gaussian spots."""
    atoms = places(seed)
    tilt_deg = np.arange(-90, 91, step_deg)
    grid = pixel_centres_A(n, pixel_size_A=0.5)
    frames = np.zeros((len(tilt_deg), n, n))
    for x, y, z in atoms:
        column = x * np.cos(np.deg2rad(tilt_deg)) + z * np.sin(np.deg2rad(tilt_deg))
        frames += np.exp(-((grid[None, None] - column[:, None, None]) ** 2) - (grid[:, None] - y) ** 2)
    return TiltSeries(frames, tilt_deg, 0.5)


class Data:
    """Series by name, which counts how often each is read."""

    microscope = NON_ABERRATED

    def __init__(self, n):
        self.names, self.read = [f"particle {i}" for i in range(n)], []

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        self.read.append(i)
        return spots(i)

    def atoms(self, i):
        return Atoms("Au3", positions=places(i))


def test_offsets_are_spread_over_a_period():
    assert frames_and_volumes.spread_offsets(24, n=1).tolist() == [0]
    assert frames_and_volumes.spread_offsets(24, n=4).tolist() == [0, 6, 12, 18]
    assert frames_and_volumes.spread_offsets(2, n=12).tolist() == [0, 1]


def test_frame_metrics_are_those_of_the_midpoints(tmp_path):
    frames_and_volumes.frame_metrics(
        tmp_path / "f", {"m": Data(1)}, methods=["linear", "cubic"], rates=[1, 3], n_offsets=1
    )
    table = frames_and_volumes.read_table(tmp_path / "f")
    assert table[["method", "rate"]].drop_duplicates().shape == (4, 2) and len(table) == 4
    full = spots(0)
    guess = (full.frames[0:-6:6] + full.frames[6::6]) / 2
    expected = image_metrics(guess, full.frames[3:-3:6], peak=full.frames.max())
    row = table[(table.method == "linear") & (table.rate == 3)].iloc[0]
    assert row.mse == pytest.approx(expected.mse.mean(), rel=1e-5)
    assert row.psnr_dB == pytest.approx(expected.psnr_dB.mean(), rel=1e-5)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """The table of one particle at two gaps and offsets, and how many volumes were reconstructed for it."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            frames_and_volumes, "sirt", lambda series, **options: made.append(series) or SIRT(series, **options)
        )
        folder = tmp_path_factory.mktemp("volumes")
        settings = {"mix_methods": ["linear"], "n_iterations": 10, "n_points": 500}
        frames_and_volumes.volume_metrics(folder, {"m": Data(1)}, gaps=[1, 2, 4], n_offsets=2, **settings)
    return frames_and_volumes.read_table(folder), made


SIRT = frames_and_volumes.sirt


def test_networks_stand_among_the_methods_under_their_names(tmp_path):
    untrained = TSGNet(channels=(4, 6, 8, 10), linear_start=True).eval()
    frames_and_volumes.frame_metrics(
        tmp_path, {"m": Data(1)}, methods=["linear"], rates=[2], n_offsets=1,
        networks={"tsgnet": "small", "tsgnet trained": save_model(untrained, tmp_path / "model.safetensors")},
    )  # fmt: skip
    psnr_dB = frames_and_volumes.read_table(tmp_path).set_index("method").psnr_dB
    assert psnr_dB.index.tolist() == ["linear", "tsgnet", "tsgnet trained"]
    assert psnr_dB["tsgnet trained"] == pytest.approx(psnr_dB["linear"], abs=1e-3)
    assert psnr_dB["tsgnet"] != pytest.approx(psnr_dB["linear"], abs=1e-3)


def test_volume_metrics_hold_every_arm_and_a_floor(volumes):
    table, _ = volumes
    arms = [("Sparse", ""), ("Twice as dense", ""), ("Mix (midpoint)", "linear"), ("Mix (all)", "linear")]
    expected = [[g, o, *arm] for g, o in ((2, 0), (2, 1), (4, 0), (4, 2)) for arm in arms]
    assert table[["gap", "offset", "arm", "method"]].to_numpy().tolist() == [[1, 0, "Reference", ""], *expected]
    assert table.n_frames[:5].tolist() == [31, 16, 31, 31, 31]
    assert table[table.gap == 4].n_frames.tolist() == [8, 15, 15, 29, 8, 15, 15, 29]
    assert (table.chamfer_A > 0).all() and (table.true_chamfer_A > 0).all() and (table.atoms == 3).all()


def test_what_is_the_same_series_is_reconstructed_once(volumes):
    table, made = volumes
    tilts = [(tuple(series.tilt_deg), bool(series.measured.all())) for series in made]
    assert len(set(tilts)) == len(tilts)
    metrics = ["chamfer_A", "nrmse", "true_chamfer_A", "rmsd_pm"]

    def row(gap, offset, arm):
        return table[(table.gap == gap) & (table.offset == offset) & (table.arm == arm)].iloc[0]

    assert row(2, 1, "Mix (midpoint)")[metrics].equals(row(2, 1, "Mix (all)")[metrics])
    assert row(2, 0, "Twice as dense")[metrics].equals(row(1, 0, "Reference")[metrics])
    assert row(1, 0, "Reference").nrmse == 0 and row(4, 0, "Twice as dense").nrmse > 0
    assert not row(4, 0, "Mix (midpoint)")[metrics].equals(row(4, 0, "Mix (all)")[metrics])


def test_the_table_does_not_depend_on_which_particle_ends_first(tmp_path, monkeypatch):
    def rows(dataset, i):
        yield {"value": i}

    def from_the_end(function, tasks, **_):
        return ((task, function(*task)) for task in reversed(tasks))

    frames_and_volumes.write_particle_by_particle({"n": Data(3)}, tmp_path, rows, label="counting", n_particles=2)
    monkeypatch.setattr(tables, "mapped", from_the_end)
    frames_and_volumes.write_particle_by_particle({"m": Data(2), "n": Data(3)}, tmp_path, rows, label="counting")
    table = frames_and_volumes.read_table(tmp_path)
    assert list(zip(table.microscope, table.value, strict=True)) == [("m", 0), ("m", 1), ("n", 0), ("n", 1), ("n", 2)]


def test_only_the_first_particles_where_told_so(tmp_path):
    def rows(dataset, i):
        yield {"value": i}

    data = {"m": Data(3), "n": Data(3)}
    frames_and_volumes.write_particle_by_particle(data, tmp_path, rows, label="counting", n_particles=2)
    expected = [["m", "0 particle 0", 0], ["m", "1 particle 1", 1], ["n", "0 particle 0", 0], ["n", "1 particle 1", 1]]
    pd.testing.assert_frame_equal(
        frames_and_volumes.read_table(tmp_path),
        pd.DataFrame(expected, columns=["microscope", "particle", "value"]),
        check_dtype=False,
    )


def test_an_interrupted_experiment_goes_on_with_the_next_particle(tmp_path):
    class Interrupted(Data):
        def __getitem__(self, i):
            if i == 1:
                raise KeyboardInterrupt
            return super().__getitem__(i)

    settings = {"methods": ["linear"], "rates": [2], "n_offsets": 1}
    with pytest.raises(KeyboardInterrupt):
        frames_and_volumes.frame_metrics(tmp_path / "f", {"m": Interrupted(3)}, **settings)
    rest = Data(3)
    frames_and_volumes.frame_metrics(tmp_path / "f", {"m": rest}, **settings)
    assert rest.read == [1, 2]
    straight = Data(3)
    frames_and_volumes.frame_metrics(tmp_path / "g", {"m": straight}, **settings)
    assert frames_and_volumes.read_table(tmp_path / "f").equals(frames_and_volumes.read_table(tmp_path / "g"))
