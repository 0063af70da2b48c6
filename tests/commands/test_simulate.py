"""`tsg simulate` of one's own structures, and `tsg show`."""

# ruff: noqa: F811  (a fixture that is imported)

import matplotlib.image
import numpy as np
import pytest
from ase.build import bulk
from ase.cluster import Octahedron
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.microscope import ABERRATED, Microscope
from tsg_core.simulation import simulate_tilt_series
from tsg_core.simulation.from_files import microscope_from, particle_from
from tsg_core.tilt_series import TiltSeries

SMALL = ("--shape", 24, "--step", 20, "--range", -40, 40)


@pytest.fixture
def silver(tmp_path):
    Octahedron("Ag", 3).write(tmp_path / "silver.xyz")
    return tmp_path / "silver.xyz"


def test_simulate_is_the_simulation_of_the_module(tsg, silver, tmp_path):
    (tmp_path / "own.yaml").write_text("convergence_mrad: 30\nCs_um: 5\n")
    (tmp_path / "angles.txt").write_text("10\n-10\n35\n")
    options = ("--microscope", tmp_path / "own.yaml", "--tilts", tmp_path / "angles.txt", "--shape", 24,
               "--field-of-view", 18, "--dose", 1e4, "--seed", 3)  # fmt: skip
    status, said, error = tsg("simulate", silver, "-o", tmp_path / "out.npz", *options)
    assert (status, error) == (0, "") and "Ag19: 19 atoms, 3 frames" in said
    found = TiltSeries.read(tmp_path / "out.npz")
    expected = simulate_tilt_series(
        particle_from(silver), microscope=Microscope(convergence_mrad=30, Cs_um=5), tilt_deg=[-10, 10, 35], shape=24,
        field_of_view_A=18, dose_per_A2=1e4, seed=3,
    )  # fmt: skip
    np.testing.assert_array_equal(found.frames, expected.frames)
    assert "silver.xyz" in found.history[-1] and found.metadata["microscope"]["convergence_mrad"] == 30


def test_without_a_field_of_view_the_particle_fits_at_every_tilt(tsg, silver, tmp_path):
    assert tsg("simulate", silver, "-o", tmp_path / "out.mrc", *SMALL)[0] == 0
    series = TiltSeries.read(tmp_path / "out.mrc")
    assert len(series) == 5 and (series.frames[:, 12, [0, -1]] < 0.2 * series.frames.max()).all()


@pytest.mark.parametrize(("source", "sample"), [("Ta", "film"), (None, "on-carbon")])
def test_a_sample_that_goes_on_fills_the_frames(tsg, silver, tmp_path, source, sample):
    options = ("--sample", sample, "--thickness", 10, "--field-of-view", 14, "--microscope", "non_aberrated")
    status, said, error = tsg("simulate", source or silver, "-o", tmp_path / "out.npz", *options, *SMALL)
    assert (status, error) == (0, "") and "Made: " in said and "with seed 0" in said
    series = TiltSeries.read(tmp_path / "out.npz")
    assert series.frames[..., [0, -1]].mean() > 0.01 * series.frames.max()
    assert any("goes on outside the frames" in line for line in series.history)


def test_multislice_with_its_options(tsg, silver, tmp_path):
    (tmp_path / "angles.txt").write_text("20\n")
    options = ("--tilts", tmp_path / "angles.txt", "--shape", 16, "--field-of-view", 12, "--engine", "multislice")
    status, _, error = tsg("simulate", silver, "-o", tmp_path / "out.npz", *options, "--box", 13, "--phonons", 1)
    assert (status, error) == (0, "")
    expected = simulate_tilt_series(
        particle_from(silver), microscope=ABERRATED, tilt_deg=[20], shape=16, field_of_view_A=12, engine="multislice",
        box_A=13.0, phonon_configurations=1,
    )  # fmt: skip
    frames = TiltSeries.read(tmp_path / "out.npz").frames
    np.testing.assert_allclose(frames, expected.frames, atol=1e-5 * frames.max())
    status, _, error = tsg("simulate", silver, "-o", tmp_path / "cut.npz", *options, "--box", 6)
    assert status == 2 and "a box of 6 A along" in error and "cuts the particle" in error and one_line(error)
    status, _, error = tsg("simulate", silver, "-o", tmp_path / "no.npz", *options, "--memory", 0.01)
    assert status == 2 and "GB of memory and has 0.0 GB" in error and one_line(error)


def test_channelling_changes_the_frames(tsg, silver, tmp_path):
    tsg("simulate", silver, "-o", tmp_path / "a.npz", *SMALL)
    tsg("simulate", silver, "-o", tmp_path / "b.npz", *SMALL, "--channelling")
    a, b = (TiltSeries.read(tmp_path / name).frames for name in ("a.npz", "b.npz"))
    assert 0.01 < np.abs(a - b).max() / a.max() < 2


def test_a_sphere_is_cut_out_of_a_slanted_crystal(tmp_path):
    bulk("Au").write(tmp_path / "gold.cif")  # the primitive cell: its edges meet at 60 degrees
    atoms = particle_from(tmp_path / "gold.cif", diameter_A=20.0)
    density = 4 / 4.08**3
    assert len(atoms) == pytest.approx(density * np.pi / 6 * 20**3, rel=0.15)
    assert np.linalg.norm(atoms.positions, axis=1).max() < 11 and not atoms.pbc.any()
    away = np.sort(np.linalg.norm(atoms.positions - atoms.positions[0], axis=1))
    assert away[1] == pytest.approx(4.08 / np.sqrt(2), abs=0.02)


@pytest.mark.parametrize("name", ["aberrated", "non_aberrated"])
def test_microscopes_by_name(name):
    assert microscope_from(name).convergence_mrad == (25 if name == "aberrated" else 35)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--microscope", "huge"), "must be aberrated, non_aberrated, or a YAML file"),
        (("--microscope", "missing.yaml"), "missing.yaml does not exist"),
        (("--microscope", "wrong.yaml"), "wrong.yaml holds apperture_mrad"),
        (("--microscope", "text.yaml"), "'wide' is not a number"),
        (("--diameter", 20), "not a periodic crystal"),
        (("--engine", "abtem_prism", "--channelling"), "has it by itself"),
        (("--range", 40, -40), "must ascend"),
        (("--thickness", 20), "are for a --sample that goes on outside the frames"),
        (("--sample", "film", "--diameter", 20), "--diameter cuts a particle out of a crystal"),
        (("--sample", "on-carbon", "--range", -85, 85), "tilted by 85 deg never ends"),
        (("--dose", -1), "must be a positive number"),
    ],
)
def test_wrong_options_of_simulate(tsg, silver, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text("convergence_mrad: 30\napperture_mrad: 20\n")
    (tmp_path / "text.yaml").write_text("convergence_mrad: wide\n")
    status, _, error = tsg("simulate", silver, "-o", tmp_path / "out.npz", *options)
    assert status == 2 and message in error and one_line(error) and not (tmp_path / "out.npz").exists()


def test_a_crystal_without_end_and_a_file_of_something_else_are_refused(tsg, tmp_path):
    bulk("Au", cubic=True).write(tmp_path / "gold.cif")
    (tmp_path / "bad.xyz").write_text("no structure")
    for name, message in (("gold.cif", "cut a sphere out of it by --diameter"), ("bad.xyz", "not a .xyz file")):
        status, _, error = tsg("simulate", tmp_path / name, "-o", tmp_path / "out.npz")
        assert status == 2 and message in error and one_line(error)


def test_show_prints_the_facts_and_draws_the_sheet(tsg, silver, tmp_path):
    tsg("simulate", silver, "-o", tmp_path / "out.mrc", *SMALL)
    (tmp_path / "out.mrc.mdoc").unlink()  # as if another program had written the stack
    status, said, error = tsg("show", tmp_path / "out.mrc", "-o", tmp_path / "sheet.png")
    assert (status, error) == (0, "")
    facts = ("5 of 24 x 24 px", "-40 to 40 deg, steps of 20 deg", "stored as float32", "out.rawtlt", "missing wedge")
    for fact in (*facts, "moves what lies nearer to the electron source to the right"):
        assert fact in said
    sheet = matplotlib.image.imread(tmp_path / "sheet.png")
    assert min(sheet.shape[:2]) > 500 and sheet[..., :3].std() > 0.1


def test_show_names_frames_unlike_their_neighbours_and_what_touches_the_border(tsg, tmp_path):
    frames = np.zeros((9, 24, 24), np.float32)
    frames[:, 8:16, 8:16] = 1
    frames[4] *= 2
    frames[7, 10:12, :3] = 1
    path = TiltSeries(frames, np.arange(-60, 61, 15), 1.0).write(tmp_path / "in.npz")
    said = tsg("show", path, "-o", tmp_path / "sheet.png")[1]
    assert "frame 4, 0 deg, is much brighter or darker" in said and "frame 7, 45 deg, is not dark at" in said
    frames[4] /= 2
    frames[7, :, :3] = 0
    path = TiltSeries(frames, np.arange(-60, 61, 15), 1.0).write(tmp_path / "good.npz")
    assert "note" not in tsg("show", path, "-o", tmp_path / "good.png")[1]
