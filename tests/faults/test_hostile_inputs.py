"""Broken and hostile files: one line, status 2, nothing written or executed, no memory for what is not there."""

# ruff: noqa: F811  (a fixture that is imported)

import json
from pathlib import Path

import hostile_files as hostile
import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import save_file
from tsg_command import one_line, tsg  # noqa: F401

from tsg_core.model import TSGNet
from tsg_core.model.file import save_model

resource = pytest.importorskip("resource")
MEMORY_LIMIT = 2 * 2**30  # above what the process has mapped already; decoders start threads, which map some

SUFFIXES = (".npz", ".npy", ".mrc", ".tif", ".dm3", ".dm4", ".emd", ".h5", ".hspy", ".zarr", ".zspy", ".zspy in a zip")
XYZ = "4\nPd4\nPd 0 0 0\nPd 2 2 0\nPd 2 0 2\nPd 0 2 2\n"
CIF = """data_a
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
"""
PDB = "ATOM      1 PD   MOL     1    {:>8s}   2.000   0.000  1.00  0.00          PD\n"
POSCAR = "Pd\n1.0\n4 0 0\n0 4 0\n0 0 4\nPd\n{}\nDirect\n0 0 0\n"
TAG = "!!python/object/apply:builtins.open ['{folder}/executed', w]\n"
LAUGHS = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9 if i else ['x'] * 9)}]\n" for i in range(12))


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.replace("{folder}", str(folder)).encode())
    return path


def series_by(make, name, **options):
    return lambda folder: ("show", make(folder / name, **options))


def claimed_npz(path: Path) -> Path:
    """The header of a compressed array states terabytes."""
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("frames.npy", hostile.npy_header((5, 10**6, 10**6)) + bytes(1000))
    return path


SERIES = {
    f"{suffix} cut at {share:.0%}": lambda f, suffix=suffix, share=share: (
        "show", hostile.truncated(hostile.series_file(f, suffix), share)
    )
    for suffix in SUFFIXES for share in (0, 0.2, 0.6, 0.95)
}  # fmt: skip
SERIES |= {
    "MRC of 2^31 columns": series_by(hostile.claiming_mrc, "in.mrc", nx=2**31 - 1, ny=2**31 - 1, nz=2**31 - 1),
    "MRC of many frames": series_by(hostile.claiming_mrc, "in.mrc", nz=2**30),
    "MRC of fewer than no frames": series_by(hostile.claiming_mrc, "in.mrc", nz=-5),
    "MRC with a long extended header": series_by(hostile.claiming_mrc, "in.mrc", n_extended=2**31 - 1),
    "TIFF of huge pages": series_by(hostile.claiming_tiff, "in.tif", compression=None),
    "TIFF of huge compressed pages": series_by(hostile.claiming_tiff, "in.tif", compression="zlib"),
    "HDF5 without data": series_by(hostile.claiming_h5, "in.h5"),
    "HDF5 of moderate size without data": series_by(hostile.claiming_h5, "in.h5", shape=(5, 100, 100), n_angles=5),
    "HDF5 of many frames": series_by(hostile.claiming_h5, "in.h5", shape=(2**40, 1, 1)),
    "Velox without data": series_by(hostile.claiming_velox, "in.emd"),
    "HSPY without data": series_by(hostile.claiming_hspy, "in.hspy"),
    "Zarr with missing chunks": series_by(hostile.claiming_zarr, "in.zarr", chunk=(5, 8, 8)),
    "Zarr of one huge chunk": series_by(hostile.claiming_zarr, "in.zarr", chunk=(5, 400_000, 400_000)),
    "DM3 of 2^31 pixels": series_by(hostile.claiming_dm, "in.dm3"),
    "DM4 of 2^31 pixels": series_by(hostile.claiming_dm, "in.dm4"),
    "NPY of terabytes": lambda f: ("show", file(f, "in.npy", hostile.npy_header((5, 10**6, 10**6)))),
    "NPY of more than any number": lambda f: ("show", file(f, "in.npy", hostile.npy_header((2**62, 2**62, 5)))),
    "NPY of fewer than no frames": lambda f: ("show", file(f, "in.npy", hostile.npy_header((-5, 8, 8)))),
    "NPZ of terabytes": lambda f: ("show", claimed_npz(f / "in.npz")),
    "NPZ whose frames expand": series_by(hostile.frames_bomb, "in.npz"),
    "NPZ whose metadata expand": series_by(hostile.metadata_bomb, "in.npz"),
    "ZSPY whose frames expand": series_by(hostile.zspy_bomb, "in.zspy"),
    "volume that expands": lambda f: ("evaluate", *[hostile.bomb(f / "in.npz", "volume.npy")] * 2),
    "tomviz volume without data": lambda f: ("evaluate", *[hostile.claiming_volume(f / "in.emd")] * 2),
    "OME-Zarr volume of one huge chunk": lambda f: ("evaluate", *[hostile.claiming_volume(f / "in.zarr")] * 2),
    "NPZ of objects": series_by(hostile.npz, "in.npz", frames=np.array([None] * 5, object)),
    "NPZ with metadata that are an object": series_by(hostile.npz, "in.npz", metadata=np.array({}, object)),
    "NPZ with metadata that are a list": series_by(hostile.npz, "in.npz", metadata="[1, 2]"),
    "NPZ with a history that is a number": series_by(hostile.npz, "in.npz", metadata='{"history": 3}'),
    "NPZ with sources that are text": series_by(hostile.npz, "in.npz", metadata='{"sources": "x", "history": []}'),
    "NPZ with angles of words": series_by(hostile.npz, "in.npz", tilt_deg=np.array(list("abcde"))),
    "NPZ with several pixel sizes": series_by(hostile.npz, "in.npz", pixel_size_A=np.ones(3)),
    "NPZ with pixels of NaN": series_by(hostile.npz, "in.npz", pixel_size_A=np.nan),
    "NPZ with flags of other frames": series_by(hostile.npz, "in.npz", measured=np.ones(3, bool)),
    "a pickle called .npz": series_by(hostile.pickled, "in.npz"),
    "a pickle called .npy": series_by(hostile.pickled, "in.npy"),
    "a pickle called .hspy": series_by(hostile.pickled, "in.hspy"),
}  # fmt: skip


def angles(content: str | bytes, name: str = "angles.txt"):
    return lambda f: ("show", hostile.series_file(f, ".npy"), "--pixel-size", 2, "--tilts", file(f, name, content))


ANGLES = {
    "NaN": angles("-20\n-10\nnan\n10\n20\n"),
    "infinity": angles("-20\n-10\n0\n10\ninf\n"),
    "words": angles("one\ntwo\nthree\nfour\nfive\n"),
    "nothing": angles(""),
    "bytes": angles(bytes(range(256))),
    "a number of 5000 digits": angles(f"-20\n-10\n0\n10\n{'9' * 5000}\n"),
    "a line of a megabyte": angles(f"-20\n-10\n0\n10\n{'9 ' * 500_000}\n"),
    "a .mdoc of bytes": angles(bytes(range(256)), "angles.mdoc"),
    "a .mdoc of NaN": angles("".join(f"[ZValue = {i}]\nTiltAngle = nan\n" for i in range(5)), "angles.mdoc"),
    "a .mdoc with numbers of 5000 digits": angles(
        "".join(f"[ZValue = {i}{'0' * 5000}]\nTiltAngle = 1\n" for i in range(5)), "angles.mdoc"
    ),
    "a .mdoc with superscript numbers": angles("[ZValue = ²]\nTiltAngle = 1\n[ZValue = ³]\n", "angles.mdoc"),
}


def microscope(content: str | bytes):
    def arguments(folder):
        options = ("--microscope", file(folder, "own.yaml", content), "-o", folder / "out.npz")
        return "simulate", file(folder, "in.xyz", XYZ), *options

    return arguments


def profile(content: str | bytes):
    return lambda f: ("run", "--dry-run", "--profile", file(f, "own.yaml", content))


def recipe(content: str | bytes):
    return lambda f: ("train", "--work", f / "out", "--recipe", file(f, "own.yaml", content))


PARAMETERS = {
    "microscope with a tag of Python": microscope(f"convergence_mrad: {TAG}"),
    "microscope with an alias bomb": microscope(f"{LAUGHS}convergence_mrad: *a11\n"),
    "microscope that contains itself": microscope("convergence_mrad: &a [*a]\n"),
    "microscope nested deeply": microscope("convergence_mrad: " + "[" * 1500),
    "microscope of bytes": microscope(bytes(range(256))),
    "microscope of nothing": microscope(""),
    "microscope of NaN": microscope("convergence_mrad: .nan\n"),
    "microscope of infinity": microscope("convergence_mrad: 1e999\n"),
    "microscope of 5000 digits": microscope(f"convergence_mrad: {'9' * 5000}\n"),
    "profile with a tag of Python": profile(f"chapters: {TAG}"),
    "profile with an alias bomb": profile(f"{LAUGHS}chapters: {{01_structures: {{n_test: *a11}}}}\n"),
    "profile that contains itself": profile("chapters: &a {01_structures: *a}\n"),
    "profile nested deeply": profile("chapters: " + "[" * 1500),
    "recipe with a tag of Python": recipe(f"network: {TAG}"),
    "recipe with an alias bomb": recipe(f"{LAUGHS}network: *a11\n"),
    "recipe nested deeply": recipe("network: " + "[" * 1500),
    "recipe of bytes": recipe(bytes(range(256))),
}


def checkpoint(make, name="own.safetensors"):
    def arguments(folder):
        path = folder / name
        make(path)
        options = ("--method", "tsgnet", "--checkpoint", path, "--step", 5, "-o", folder / "out.npz")
        return "densify", hostile.series_file(folder, ".npz"), *options

    return arguments


def network(path: Path, **changes) -> None:
    """A tiny network with a part of its description replaced."""
    described = {"name": "TSGNet", **TSGNet(channels=(1, 1, 1, 1)).architecture} | changes
    weights = {name: value.numpy() for name, value in TSGNet(channels=(1, 1, 1, 1)).state_dict().items()}
    hostile.safetensors(path, tensors=weights, metadata={"architecture": json.dumps(described)})


def cut_network(path: Path, share: float) -> None:
    hostile.truncated(save_model(TSGNet(channels=(1, 1, 1, 1)), path), share)


def network_of_nan(path: Path) -> None:
    model = TSGNet(channels=(1, 1, 1, 1))
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, np.nan)
    save_model(model, path)


CHECKPOINTS = {
    **{f"cut at {share:.0%}": checkpoint(lambda p, s=share: cut_network(p, s)) for share in (0, 0.2, 0.6, 0.95)},
    "header of 2^63 bytes": checkpoint(lambda p: hostile.safetensors(p, length=2**63 - 1)),
    "header that is longer than the file": checkpoint(lambda p: hostile.safetensors(p, length=10**6)),
    "no description": checkpoint(lambda p: hostile.safetensors(p, tensors={"a": np.ones(3)})),
    "description that is a number": checkpoint(lambda p: hostile.safetensors(p, metadata={"architecture": "3"})),
    "description that is text": checkpoint(lambda p: hostile.safetensors(p, metadata={"architecture": '"TSGNet"'})),
    "wrong tensors": checkpoint(lambda p: save_file({"encoder.x": torch.ones(3)}, p, metadata={"architecture": "{}"})),
    "other widths": checkpoint(lambda p: network(p, channels=[1, 1, 1, 2])),
    "widths of terabytes": checkpoint(lambda p: network(p, channels=[40_000, 40_000, 40_000, 40_000])),
    "widths beyond any number": checkpoint(lambda p: network(p, channels=[10**30] * 4)),
    "widths of text": checkpoint(lambda p: network(p, channels="abcd")),
    "NaN": checkpoint(network_of_nan),
    "a pickle": checkpoint(hostile.pickled),
    "a pickle called .pt": checkpoint(hostile.pickled, "own.pt"),
    "a cut .pt": checkpoint(
        lambda p: (torch.save(TSGNet(channels=(1, 1, 1, 1)).state_dict(), p), hostile.truncated(p, 0.5)), "own.pt"
    ),
    "a list called .pt": checkpoint(lambda p: torch.save([1, 2], p), "own.pt"),
    "numbers for names in a .pt": checkpoint(lambda p: torch.save({1: torch.ones(2)}, p), "own.pt"),
    "numbers for weights in a .pt": checkpoint(
        lambda p: torch.save({f"encoder.pyramid{i}.0.0.bias": 3 for i in (1, 2, 3, 4)}, p), "own.pt"
    ),
    "one number repeated 10^9 times in a .pt": checkpoint(
        lambda p: torch.save(
            {f"encoder.pyramid{i}.0.0.bias": torch.zeros(1).expand(10**9) for i in (1, 2, 3, 4)}
            | {"decoder1.net.2.bias": torch.zeros(6)}, p
        ), "own.pt",
    ),
}  # fmt: skip


def structure(name: str, content: str | bytes):
    return lambda f: ("simulate", file(f, name, content), "-o", f / "out.npz", "--shape", 16, "--step", 40)


STRUCTURES = {
    "XYZ of nothing": structure("in.xyz", ""),
    "XYZ without its last atom": structure("in.xyz", XYZ[:-10]),
    "XYZ of a million atoms, of which there are four": structure("in.xyz", XYZ.replace("4\n", "1000000\n", 1)),
    "XYZ of 10^18 atoms": structure("in.xyz", XYZ.replace("4\n", f"{10**18}\n", 1)),
    "XYZ of fewer than no atoms": structure("in.xyz", XYZ.replace("4\n", "-4\n", 1)),
    "XYZ with NaN": structure("in.xyz", XYZ.replace("Pd 2 2 0", "Pd nan 2 0")),
    "XYZ with infinity": structure("in.xyz", XYZ.replace("Pd 2 2 0", "Pd inf 2 0")),
    "one atom at NaN": structure("in.xyz", "1\nPd\nPd nan 0 0\n"),
    "XYZ of an unknown element": structure("in.xyz", XYZ.replace("Pd 2 2 0", "Qq 2 2 0")),
    "XYZ of bytes": structure("in.xyz", bytes(range(256))),
    "XYZ with a column of 10^9 numbers": structure(
        "in.xyz", XYZ.replace("Pd4", 'Properties=species:S:1:pos:R:3:x:R:1000000000')
    ),
    "CIF of nothing": structure("in.cif", ""),
    "CIF without atoms": structure("in.cif", CIF),
    "CIF cut in its cell": structure("in.cif", CIF[:40]),
    "CIF with NaN": structure("in.cif", CIF + "Pd nan 0 0\n"),
    "CIF with a cell of NaN": structure("in.cif", CIF.replace("length_a 4", "length_a nan") + "Pd 0 0 0\n"),
    "PDB of nothing": structure("in.pdb", ""),
    "PDB cut in a line": structure("in.pdb", PDB.format("0.000")[:34]),
    "PDB with NaN": structure("in.pdb", PDB.format("nan") + PDB.format("2.000")),
    "VASP of 10^12 atoms": structure("in.vasp", POSCAR.format(10**12)),
    "LAMMPS of 10^12 atoms": structure("in.lmp", f"a\n\n{10**12} atoms\n1 atom types\n0 4 xlo xhi\n\nAtoms\n"),
    "a pickle called .traj": lambda f: ("simulate", hostile.pickled(f / "in.traj"), "-o", f / "out.npz"),
    "a pickle called .xyz": lambda f: ("simulate", hostile.pickled(f / "in.xyz"), "-o", f / "out.npz"),
    "a bundle with a pickle": lambda f: ("simulate", hostile.bundle(f / "in.bundle"), "-o", f / "out.npz"),
}  # fmt: skip

KINDS = {"series": SERIES, "angles": ANGLES, "parameters": PARAMETERS, "checkpoint": CHECKPOINTS,
         "structure": STRUCTURES}  # fmt: skip
CASES = {f"{kind}: {name}": make for kind, cases in KINDS.items() for name, make in cases.items()}


@pytest.fixture
def little_memory():
    """A process that may map little more than it has, so that a huge claim that is believed shows as an error."""
    before = resource.getrlimit(resource.RLIMIT_AS)

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MEMORY_LIMIT, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_nothing_else(tsg, tmp_path, monkeypatch, little_memory, name):
    monkeypatch.chdir(tmp_path)
    arguments = CASES[name](tmp_path)
    before = sorted(tmp_path.rglob("*"))
    little_memory()
    status, _, error = tsg(*arguments)
    assert status == 2 and one_line(error) and len(error) < 1000, error[:2000]
    assert "allocate" not in error and "memory map" not in error, error  # or it had believed the claim
    assert sorted(tmp_path.rglob("*")) == before
