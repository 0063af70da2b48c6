"""Checks of atoms read from a file: distances, cells, cell faces that cut a particle, occupancies."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.neighborlist import neighbor_list
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree

from ..errors import TsgError

Say = Callable[[str], None]
NEAR, FAR = 0.6, 1.9  # of a bond, the sum of the covalent radii: limits for pairs, and for usual neighbours in a solid
FEW = 8  # so few atoms may lie any distance apart
NOBLE = (2, 10, 18, 36, 54, 86)  # held together by weaker forces than bonds
ONE_PIECE = 1.35  # of the usual distance to the nearest neighbour: closer atoms belong to one piece
LEAST_VOLUME_A3 = 2.0  # of a cell, for each of its atoms; diamond, the densest solid, has 5.7
IMAGES = 4000  # neighbouring cells are searched for cells with at most this many atoms
PDB = (".pdb", ".ent")
XYZ, LAMMPS = (".xyz", ".extxyz"), (".data", ".lmp")
_DIGITS = 18  # of a number of atoms that can be one


def check_locations(path: Path) -> None:
    """Raise TsgError if a PDB file gives atoms alternative locations, since ASE would use all of them."""
    if path.suffix.lower() not in PDB:
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    letters = Counter(line[16] for line in lines if line.startswith(("ATOM", "HETATM")) and line[16:17].strip())
    if len(letters) > 1:
        named = ", ".join(f"{letter} for {n}" for letter, n in sorted(letters.items()))
        raise TsgError(f"{path} gives atoms alternative locations ({named} atoms); keep the lines of one of them")


def check_counts(path: Path) -> None:
    """Raise TsgError if a file states more atoms than it has lines, or more columns than these have letters.

    ASE would take memory for them, or go on beyond the end. XYZ and LAMMPS files are looked at.
    """
    if path.suffix.lower() in XYZ:
        _check_xyz(path, _lines(path))
    elif path.suffix.lower() in LAMMPS:
        lines = _lines(path)
        stated = next((line.split()[0] for line in lines if re.fullmatch(r"\s*[0-9]+\s+atoms\s*", line)), "0")
        if len(stated) > _DIGITS or int(stated) > len(lines):
            raise TsgError(f"{path} states {stated:.30} atoms and has {len(lines)} lines")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _check_xyz(path: Path, lines: list[str]) -> None:
    longest, first = max(map(len, lines), default=0), 0
    while first < len(lines) and re.fullmatch(r"\s*[0-9]+\s*", lines[first]):
        stated, there = lines[first].strip(), max(0, len(lines) - first - 2)
        if len(stated) > _DIGITS or int(stated) > there:
            raise TsgError(f"{path} states {stated:.30} atoms in line {first + 1}, after which {there} can follow")
        for columns in re.findall(r":[SRIL]:([0-9]+)", "".join(lines[first + 1 : first + 2])):
            if len(columns) > _DIGITS or int(columns) > longest:
                raise TsgError(f"{path} states a property of {columns:.30} columns, which none of its lines has")
        first += 2 + int(stated)


def without_impossible_cell(atoms: Atoms, say: Say) -> Atoms:
    """The atoms, without a cell that is empty or too small for them: PDB files write 1 x 1 x 1 if there is none."""
    if not atoms.pbc.any():
        return atoms
    volume_A3 = abs(np.linalg.det(atoms.cell.array))
    if atoms.pbc.all() and volume_A3 < LEAST_VOLUME_A3 * len(atoms):
        edges = " x ".join(f"{edge:g}" for edge in atoms.cell.lengths())
        say(f"The cell of {edges} A cannot hold {len(atoms)} atoms: it is taken for none.")
    elif volume_A3 > 0:
        return atoms
    atoms = atoms.copy()
    atoms.set_cell(None)
    atoms.pbc = False
    return atoms


def check_atoms(atoms: Atoms, path: Path) -> None:
    """Raise TsgError for atoms without an element, and for distances that occur in no solid; the message tells them."""
    nameless = int((atoms.numbers == 0).sum())
    if nameless:
        raise TsgError(f"{path} names no element for {nameless} of {len(atoms)} atoms; write their symbols")
    if len(atoms) < 2 and not atoms.pbc.any():
        return
    distance_A, neighbour = nearest(atoms)
    bond_A = covalent_radii[atoms.numbers] + covalent_radii[atoms.numbers[neighbour]]
    ratio = distance_A / bond_A
    usual, i = float(np.median(ratio)), int(ratio.argmin())
    pair = f"{atoms.symbols[i]} {i} and {atoms.symbols[neighbour[i]]} {neighbour[i]}"
    seen = f"the nearest neighbours of its atoms lie {np.median(distance_A):.3g} A away, {usual:.2g} times a bond"
    if usual < NEAR:
        raise TsgError(f"{path}: {seen}; were lengths written in nm? They must be in angstrom")
    if ratio[i] < NEAR:
        n = int((ratio < NEAR).sum())
        raise TsgError(
            f"{path}: {n} atoms lie too near to another one, {pair} only {distance_A[i]:.2g} A: alternative locations, "
            "or atoms written twice; keep one of each"
        )
    if usual > FAR and len(atoms) >= FEW and not np.isin(atoms.numbers, NOBLE).any():
        elements = ", ".join(sorted(set(atoms.get_chemical_symbols())))
        raise TsgError(
            f"{path}: {seen} of {elements}; are the elements missing, so that types or numbers were taken for them, or "
            "are lengths not in angstrom?"
        )
    light = [chemical_symbols[z] for z in NOBLE[:2] if (atoms.numbers == z).any()]
    if light and usual > FAR and len(atoms) >= FEW:
        raise TsgError(f"{path}: {seen} and it holds {', '.join(light)}; were types taken for elements?")


def nearest(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Distance (n,) of each atom to its nearest neighbour, also across cells, and the index (n,) of that atom."""
    n = len(atoms)
    if atoms.pbc.any() and n <= IMAGES:
        block = atoms.repeat(tuple(np.where(atoms.pbc, 3, 1)))
        positions = block.positions - np.where(atoms.pbc, 1, 0) @ atoms.cell.array
    else:
        positions = atoms.positions
    distance, index = cKDTree(positions).query(atoms.positions, k=2)
    itself = index[:, 0] % n == np.arange(n)
    itself &= distance[:, 0] < 1e-9
    second = np.where(itself, 1, 0)
    return distance[np.arange(n), second], index[np.arange(n), second] % n


def unwrapped(atoms: Atoms) -> tuple[Atoms, int]:
    """The atoms with each piece made whole where cell faces cut it, and the number of axes along which it is endless.

    Atoms closer than ONE_PIECE times the usual distance are joined, also through faces. Going from neighbour to
    neighbour gives the cell of each atom; if two paths lead to different cells, the piece is endless. Pieces are put
    close to the largest one.
    """
    if not atoms.pbc.any():
        return atoms, 0
    first, second, shift = neighbor_list("ijS", atoms, _reach_A(atoms))
    n = len(atoms)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(n, n)).tocsr()
    n_pieces, piece = connected_components(graph, directed=False)
    step = dict(zip(zip(first.tolist(), second.tolist(), strict=True), shift, strict=True))
    cell = np.zeros((n, 3), int)
    for start in np.unique(piece, return_index=True)[1]:
        order, before = breadth_first_order(graph, start, directed=False)
        for j in order[1:].tolist():
            i = int(before[j])
            cell[j] = cell[i] + step[i, j]
    loops = np.unique(cell[first] + shift - cell[second], axis=0)
    n_endless = int(np.linalg.matrix_rank(loops)) if len(loops) else 0
    whole = atoms.copy()
    whole.positions += cell @ atoms.cell.array
    if n_endless == 0 and n_pieces > 1:
        _gather(whole, piece)
    return whole, n_endless


def pieces(atoms: Atoms) -> int:
    """The number of separate pieces that the atoms form."""
    if len(atoms) < 2:
        return len(atoms)
    pairs = cKDTree(atoms.positions).query_pairs(_reach_A(atoms), output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(atoms),) * 2)
    return int(connected_components(graph, directed=False)[0])


def drawn(atoms: Atoms, path: Path, *, seed: int, say: Say) -> Atoms:
    """The atoms with one element, or none, on each partly occupied site; sites are drawn independently."""
    sites = _occupancies(atoms)
    mixed = [i for i, site in enumerate(sites) if set(site) != {atoms.symbols[i]} or abs(sum(site.values()) - 1) > 1e-3]
    if not mixed:
        return atoms
    rng = np.random.default_rng(seed)
    symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
    for i in mixed:
        shares = np.array(list(sites[i].values()), float)
        if shares.min() < 0 or shares.sum() > 1.01:
            raise TsgError(f"{path} has a site with the occupancies {_text(sites[i])}, which add up to more than 1")
        shares = shares / max(shares.sum(), 1.0)
        symbols[i] = rng.choice([*sites[i], ""], p=[*shares, max(0.0, 1 - shares.sum())])
    kinds = sorted({_text(sites[i]) for i in mixed})
    found = Counter(symbols[mixed])
    counts = ", ".join(f"{n} {symbol or 'empty'}" for symbol, n in sorted(found.items()))
    say(f"Sites occupied in part ({'; '.join(kinds)}) were drawn with --seed {seed}: {counts}.")
    kept = symbols != ""
    left = atoms[kept]
    left.set_chemical_symbols(symbols[kept].tolist())
    return left


def _occupancies(atoms: Atoms) -> list[dict[str, float]]:
    """Elements and their shares on each site: of CIF files by kind of site, of PDB files by atom."""
    kinds, by_kind = atoms.arrays.get("spacegroup_kinds"), atoms.info.get("occupancy")
    if kinds is not None and isinstance(by_kind, dict):
        return [by_kind.get(str(kind), {s: 1.0}) for kind, s in zip(kinds, atoms.symbols, strict=True)]
    shares = atoms.arrays.get("occupancy", np.ones(len(atoms)))
    if not (shares > 0).any():  # a column that was never filled in
        shares = np.ones(len(atoms))
    return [{symbol: float(share)} for symbol, share in zip(atoms.symbols, shares, strict=True)]


def _text(site: dict[str, float]) -> str:
    return " / ".join(f"{symbol} {share:g}" for symbol, share in site.items())


def _reach_A(atoms: Atoms) -> float:
    return ONE_PIECE * float(np.quantile(nearest(atoms)[0], 0.95))


def _gather(atoms: Atoms, piece: np.ndarray) -> None:
    """Move each piece, in place, by whole cells to the image that is nearest to the largest one."""
    middles = np.array([atoms.positions[piece == k].mean(axis=0) for k in range(piece.max() + 1)])
    largest = middles[np.bincount(piece).argmax()]
    away = np.round((middles - largest) @ np.linalg.pinv(atoms.cell.array)).astype(int) * atoms.pbc
    atoms.positions -= (away @ atoms.cell.array)[piece]
