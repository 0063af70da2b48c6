"""Structures of one's own: what is drawn, made whole, passed over or refused, beside the truth."""

# ruff: noqa: F811  (a fixture that is imported)

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.cluster import Decahedron, Octahedron
from ase.io import write
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.errors import TsgError
from tsg_core.simulation.from_files import particle_from
from tsg_core.tilt_series import TiltSeries

CIF = """data_x
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""


def cif(path, *sites, a=3.7):
    path.write_text(CIF.format(a=a, sites="\n".join(sites)))
    return path


def pdb(path, lines, *, cell=None):
    head = [] if cell is None else ["CRYST1{:9.3f}{:9.3f}{:9.3f}  90.00  90.00  90.00 P 1           1".format(*cell)]
    path.write_text("\n".join([*head, *lines, "END", ""]))
    return path


def pdb_atom(i, symbol, position, *, name=None, location=" ", occupancy=1.0, element=True):
    x, y, z = position
    name = f" {symbol.upper():<3s}" if name is None else name
    line = f"HETATM{i:5d} {name}{location}XXX A   1    {x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{0:6.2f}"
    return line + (f"          {symbol.upper():>2s}" if element else "")


def read(path, **options):
    said = []
    return particle_from(path, say=said.append, **options), said


def distances(atoms):
    return np.sort(atoms.get_all_distances()[np.triu_indices(len(atoms), 1)])


def test_sites_occupied_in_part_are_drawn_by_seed_and_said(tmp_path):
    path = cif(tmp_path / "a.cif", "Ni1 Ni 0 0 0 0.75", "Pt1 Pt 0 0 0 0.25")
    atoms, said = read(path, diameter_A=30.0)
    share = (np.array(atoms.get_chemical_symbols()) == "Pt").mean()
    assert share == pytest.approx(0.25, abs=3 * np.sqrt(0.25 * 0.75 / len(atoms)))
    assert len(said) == 1 and "Ni 0.75 / Pt 0.25" in said[0] and "--seed 0" in said[0] and " Ni, " in said[0]
    again, other = read(path, diameter_A=30.0)[0], read(path, diameter_A=30.0, seed=1)[0]
    assert (again.numbers == atoms.numbers).all() and (other.numbers != atoms.numbers).any()
    np.testing.assert_array_equal(other.positions, atoms.positions)


def test_sites_that_may_be_empty_lose_their_share(tmp_path):
    full, _ = read(cif(tmp_path / "a.cif", "Pd1 Pd 0 0 0 1.0"), diameter_A=30.0)
    atoms, said = read(cif(tmp_path / "b.cif", "Pd1 Pd 0 0 0 0.8"), diameter_A=30.0)
    assert len(atoms) == pytest.approx(0.8 * len(full), abs=3 * np.sqrt(0.16 * len(full)))
    assert "Pd 0.8" in said[0] and f"{len(full) - len(atoms)} empty" in said[0]
    with pytest.raises(TsgError, match="add up to more than 1"):
        read(cif(tmp_path / "c.cif", "Pd1 Pd 0 0 0 0.8", "Pt1 Pt 0 0 0 0.8"), diameter_A=20.0)


def test_occupancies_of_atoms_in_a_pdb_file(tmp_path):
    particle = Octahedron("Au", 7, 2)
    lines = [pdb_atom(i, "Au", p, occupancy=0.5 if i % 2 else 1.0) for i, p in enumerate(particle.positions)]
    atoms, said = read(pdb(tmp_path / "a.pdb", lines))
    half = sum(i % 2 for i in range(len(particle)))
    assert len(atoms) == pytest.approx(len(particle) - half / 2, abs=3 * np.sqrt(half / 4))
    assert "Au 0.5" in said[0]
    unfilled = [pdb_atom(i, "Au", p, occupancy=0.0) for i, p in enumerate(particle.positions)]
    assert len(read(pdb(tmp_path / "b.pdb", unfilled))[0]) == len(particle)


@pytest.mark.parametrize("particle", [Octahedron("Ag", 5, 1), Decahedron("Au", 3, 2, 0), Octahedron("Pt", 3)])
@pytest.mark.parametrize("faces", [(1, 0, 0), (1, 1, 1), (0, 1, 1)])
@pytest.mark.parametrize("suffix", [".vasp", ".extxyz", ".cif"])
def test_a_particle_that_faces_of_its_cell_cut_is_made_whole(tmp_path, particle, faces, suffix):
    whole = Atoms(particle.get_chemical_symbols(), positions=particle.positions)
    cut = whole.copy()
    cut.set_cell(np.ptp(whole.positions, axis=0) + np.array([7.0, 8.0, 9.0]))
    cut.center()
    cut.pbc = True
    cut.positions += np.array(faces) * np.diag(cut.cell.array) / 2
    cut.wrap()
    write(tmp_path / f"a{suffix}", cut)
    atoms, said = read(tmp_path / f"a{suffix}")
    assert len(atoms) == len(whole)
    np.testing.assert_allclose(distances(atoms), distances(whole), atol=1e-3)
    assert "faces of the cell cut the particle" in said[0] and f"of {len(whole)} atoms" in said[0]


def test_a_whole_particle_in_a_slanted_cell_stays_as_it_is(tmp_path):
    particle = Octahedron("Au", 4, 1)
    inside = Atoms(particle.get_chemical_symbols(), positions=particle.positions, pbc=True)
    inside.set_cell([[30, 0, 0], [12, 28, 0], [6, 5, 27]])
    inside.center()
    write(tmp_path / "a.extxyz", inside)
    atoms, said = read(tmp_path / "a.extxyz")
    assert said == [] and np.allclose(distances(atoms), distances(inside), atol=1e-5)
    with pytest.raises(TsgError, match="a particle, not a periodic crystal: it is taken whole"):
        read(tmp_path / "a.extxyz", diameter_A=10.0)


def test_two_particles_in_a_cell_are_each_made_whole(tmp_path):
    one = Octahedron("Au", 3)
    places = np.vstack([one.positions, one.positions + np.array([13.0, 0, 0])])
    both = Atoms(one.get_chemical_symbols() * 2, positions=places, pbc=True)
    both.set_cell([40, 30, 30])
    both.center()
    expected = distances(both)
    both.positions += [14.0, 15.0, 0]
    both.wrap()
    write(tmp_path / "a.extxyz", both)
    atoms, said = read(tmp_path / "a.extxyz")
    np.testing.assert_allclose(distances(atoms), expected, atol=1e-5)
    assert any("2 pieces apart" in sentence for sentence in said)


def test_what_goes_on_for_ever_needs_a_diameter(tmp_path):
    layer = graphene(size=(3, 3, 1), vacuum=8.0)
    write(tmp_path / "layer.extxyz", layer)
    wire = bulk("Au", cubic=True).repeat((3, 3, 1))
    wire.set_cell([30, 30, wire.cell[2, 2]])
    wire.center()
    write(tmp_path / "wire.extxyz", wire)
    for name, words in (("layer", "goes on along 2 of the axes"), ("wire", "goes on along 1 of the axes")):
        with pytest.raises(TsgError, match=f"{words}.*--diameter"):
            read(tmp_path / f"{name}.extxyz")
    atoms, _ = read(tmp_path / "layer.extxyz", diameter_A=20.0)
    assert len(atoms) == pytest.approx(np.pi * 10**2 * 2 / (2.46**2 * np.sqrt(3) / 2), rel=0.1)
    assert np.ptp(atoms.positions[:, 2]) < 1e-6


def test_crystals_of_weak_forces_have_no_end_either(tmp_path):
    bulk("Xe", a=6.2, cubic=True).write(tmp_path / "xe.cif")
    with pytest.raises(TsgError, match="is a periodic crystal"):
        read(tmp_path / "xe.cif")


@pytest.mark.parametrize("cell", [(1, 1, 1), (0, 0, 0), (1, 2, 3)])
def test_a_cell_that_holds_no_atoms_is_none(tmp_path, cell):
    particle = Octahedron("Au", 4)
    lines = [pdb_atom(i, "Au", p) for i, p in enumerate(particle.positions)]
    atoms, said = read(pdb(tmp_path / "a.pdb", lines, cell=cell))
    np.testing.assert_allclose(distances(atoms), distances(particle), atol=2e-3)
    assert any(cell) == bool(said) or "taken for none" in said[0]


def test_elements_from_the_names_of_atoms(tmp_path):
    lines = [pdb_atom(i, "Au", p, element=False) for i, p in enumerate(Octahedron("Au", 3).positions)]
    assert set(read(pdb(tmp_path / "a.pdb", lines))[0].get_chemical_symbols()) == {"Au"}


LAMMPS = "types\n\n{n} atoms\n1 atom types\n0 60 xlo xhi\n0 60 ylo yhi\n0 60 zlo zhi\n\nAtoms # atomic\n\n{lines}\n"


def lammps(path, atoms):
    lines = "\n".join(f"{i + 1} 1 {x + 30} {y + 30} {z + 30}" for i, (x, y, z) in enumerate(atoms.positions))
    path.write_text(LAMMPS.format(n=len(atoms), lines=lines))
    return path


def xyz(path, atoms, *, scale=1.0, symbol=None):
    lines = [f"{symbol or s} {x} {y} {z}" for s, (x, y, z) in zip(atoms.symbols, scale * atoms.positions, strict=True)]
    path.write_text("\n".join([str(len(atoms)), "", *lines, ""]))
    return path


PARTICLE = Octahedron("Au", 4)
REFUSED = {
    "units of nm": (lambda f: xyz(f / "a.xyz", PARTICLE, scale=0.1), "lie 0.288 A away, 0.11 times a bond; .*in nm"),
    "units of Bohr": (lambda f: xyz(f / "a.xyz", PARTICLE, scale=1 / 0.529), "lie 5.45 A away, 2 times a bond of Au"),
    "no element": (lambda f: xyz(f / "a.xyz", PARTICLE, symbol="X"), "names no element for 44 of 44 atoms"),
    "an atom twice": (
        lambda f: xyz(f / "a.xyz", PARTICLE + PARTICLE[:1]),
        "2 atoms lie too near .* Au 0 and Au 44 only 0 A: alternative locations, or atoms written twice",
    ),
    "alternative locations": (
        lambda f: pdb(
            f / "a.pdb",
            [
                pdb_atom(1, "C", (0, 0, 0), location="A", occupancy=0.6),
                pdb_atom(2, "C", (0.3, 0, 0), location="B", occupancy=0.4),
                pdb_atom(3, "C", (1.5, 0, 0)),
            ],
        ),
        "alternative locations .A for 1, B for 1 atoms.; keep the lines of one",
    ),
    "types for elements": (lambda f: lammps(f / "a.data", PARTICLE), "4.7 times a bond of H; are the elements missing"),
    "hydrogen for gold": (lambda f: xyz(f / "a.xyz", PARTICLE, symbol="H"), "4.7 times a bond of H"),
    "helium for gold": (lambda f: xyz(f / "a.xyz", PARTICLE, symbol="He"), "holds He; were types taken for elements"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused_with_what_was_seen(tsg, tmp_path, name):
    make, words = REFUSED[name]
    with pytest.raises(TsgError, match=words):
        read(make(tmp_path))
    status, _, error = tsg("simulate", make(tmp_path), "-o", tmp_path / "out.npz", "--shape", 16)
    assert status == 2 and one_line(error) and not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("name", ["H2O", "CH3CH2OH", "C6H6", "SiH4"])
def test_molecules_and_lone_atoms_are_taken(tmp_path, name):
    xyz(tmp_path / "a.xyz", molecule(name))
    assert len(read(tmp_path / "a.xyz")[0]) == len(molecule(name))
    xyz(tmp_path / "b.xyz", Atoms("AuPtAg", positions=[[0, 0, 0], [9, 0, 0], [0, 12, 5]]))
    assert len(read(tmp_path / "b.xyz")[0]) == 3


def test_the_last_of_several_structures_is_said(tmp_path):
    write(tmp_path / "a.extxyz", [Octahedron("Au", 3), Octahedron("Ag", 4)])
    atoms, said = read(tmp_path / "a.extxyz")
    assert set(atoms.get_chemical_symbols()) == {"Ag"} and "holds 2 structures: the last one is taken" in said[0]


def test_simulate_says_and_notes_what_was_drawn(tsg, tmp_path):
    path = cif(tmp_path / "a.cif", "Ni1 Ni 0 0 0 0.75", "Pt1 Pt 0 0 0 0.25")
    options = ("--diameter", 10, "--shape", 24, "--step", 40, "--range", -40, 40)
    status, said, error = tsg("simulate", path, "-o", tmp_path / "out.npz", *options, "--seed", 5)
    assert (status, error) == (0, "") and "drawn with --seed 5" in said
    assert "drawn with --seed 5" in TiltSeries.read(tmp_path / "out.npz").history[0]
