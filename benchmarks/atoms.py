"""Atoms fitted to tilt series, as tables: time against the number of atoms, and frames predicted between the tilts.

    python benchmarks/atoms.py speed                  137, 500, 2000 and 10000 atoms, 31 frames of 80 px and more
    python benchmarks/atoms.py speed --atoms 500 --device cuda
    python benchmarks/atoms.py fit                    the whole fit of 512 atoms in 31 frames of 80 px
    python benchmarks/atoms.py series SERIES.npz      every 2nd and 4th frame of a stored series, midpoints predicted
    python benchmarks/atoms.py particle               an incoherent particle of the project, every 3 to 24 degrees
    python benchmarks/atoms.py particle --microscope aberrated --channelling

Processor time hardly depends on other load on the machine. Ratios are to the first row.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import tables
import torch
from ase import Atoms
from ase.build import bulk

from tsg_core.evaluation import psnr_dB as psnr_dB_of
from tsg_core.evaluation.atom_peaks import match_atoms
from tsg_core.interpolation import densify
from tsg_core.interpolation.atoms.fit import AtomSettings, NotAtoms, fit_atoms
from tsg_core.interpolation.atoms.least_squares import OBJECT, AtomFrames, start_parameters
from tsg_core.interpolation.atoms.rendering import AtomRenderer
from tsg_core.interpolation.atoms.whitening import Whitening
from tsg_core.microscope import MICROSCOPES, NON_ABERRATED
from tsg_core.simulation import simulate_tilt_series
from tsg_core.structures import random_rotation
from tsg_core.tilt_series import TiltSeries

FIT_ITERATIONS = 5


def particle(n_atoms: int, element: str = "Ir", seed: int = 0) -> Atoms:
    """The atoms of an fcc crystal nearest to a random point, rotated at random."""
    crystal = bulk(element, "fcc", cubic=True)
    edge = int(np.ceil((n_atoms / 4) ** (1 / 3) * 1.5)) + 2
    positions = (crystal * (edge, edge, edge)).positions
    positions -= positions.mean(axis=0) + np.random.default_rng(seed).uniform(-1, 1, 3)
    nearest = positions[np.argsort(np.linalg.norm(positions, axis=1))[:n_atoms]]
    return random_rotation(
        Atoms(f"{element}{n_atoms}", positions=nearest - nearest.mean(axis=0)),
        seed=seed,
    )


def timed(work):
    """Result, wall seconds, processor seconds."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall_s, time.process_time() - processor_s


def speed(options) -> None:
    """One iteration of the fit without and with the channelling term, for particles with ever more atoms."""
    head = "s/iteration  cpu s    ratio  cpu s/(atoms x frames) us  channelling/plain"
    print(f"{options.frames} frames, {options.device}\n{'atoms':>6} {'px':>4}  {head}")
    first, rows = None, {}
    for n_atoms in options.atoms:
        n, fit = prepared_fit(n_atoms, n_frames=options.frames, device=options.device)
        if first is None:
            fit(channelling=False)  # imports and caches
        (_, wall_s, cpu_s), (_, more_wall_s, _) = (timed(lambda c=c, f=fit: f(channelling=c)) for c in (False, True))
        first = first or wall_s
        share_us = 1e6 * cpu_s / FIT_ITERATIONS / n_atoms / options.frames
        print(
            f"{n_atoms:6} {n:4}  {wall_s / FIT_ITERATIONS:11.2f} {cpu_s / FIT_ITERATIONS:6.2f} {wall_s / first:8.1f} "
            f"{share_us:26.2f} {more_wall_s / wall_s:18.2f}",
            flush=True,
        )
        row = {"wall_s": wall_s, "processor_s": cpu_s, "with_channelling_wall_s": more_wall_s}
        rows[f"{n_atoms} atoms"] = {name: s / FIT_ITERATIONS for name, s in row.items()}
    tables.keep("atoms", f"an iteration, {options.frames} frames, {options.device}", rows)


def prepared_fit(n_atoms: int, *, n_frames: int, device: str = "cpu") -> tuple[int, Callable[..., dict]]:
    """The width of the frames in pixels, and the fit of a particle from displaced atoms, `FIT_ITERATIONS` long."""
    atoms = particle(n_atoms)
    diameter_A = 2 * float(np.linalg.norm(atoms.positions, axis=1).max())
    n = int(np.ceil((diameter_A + 8) / 0.4 / 8) * 8)
    tilt_deg = np.linspace(-90, 90, n_frames)
    renderer = AtomRenderer(
        shape=(n, n), pixel_size_A=0.4, microscope=NON_ABERRATED, depth_A=diameter_A / 2, device=device
    )
    p = start_parameters(atoms.positions, sigma_A=0.15, n_tilt=n_frames, device=device)
    frames = AtomFrames(renderer=renderer, tilt_deg=tilt_deg)
    frames = replace(frames, frames=frames.whole(p))
    frames = replace(frames, whitening=Whitening.of(frames.frames, frames.frames))
    start = p | {"positions_A": p["positions_A"] + 0.1 * torch.randn_like(p["positions_A"])}

    def fit(*, channelling: bool) -> dict:
        free = (*OBJECT, "channelling") if channelling else OBJECT
        features = frames.features(start) if channelling else None
        return frames.fitted(start, free=free, n_iterations=FIT_ITERATIONS, features=features)

    return n, fit


def whole_fit(options) -> None:
    """The whole fit of one particle, from the initial volume on."""
    atoms = particle(options.atoms[0])
    field_A = 2 * float(np.linalg.norm(atoms.positions, axis=1).max()) + 6
    series = simulate_tilt_series(
        atoms,
        microscope=NON_ABERRATED,
        tilt_deg=np.linspace(-90, 90, options.frames),
        shape=80,
        field_of_view_A=field_A,
        channelling=True,
    )
    rows = {}
    for channelling in (False, True):
        settings = AtomSettings(channelling=channelling, device=options.device)
        model, wall_s, cpu_s = timed(lambda s=settings: fit_atoms(series, settings=s))
        name = "with channelling" if channelling else "atoms"
        print(
            f"{name:17} {wall_s:6.1f} s, processor {cpu_s:6.1f} s; {_match(model, atoms.positions)}",
            flush=True,
        )
        rows[name] = {"wall_s": wall_s, "processor_s": cpu_s}
    tables.keep("atoms", f"a fit of {len(atoms)} atoms in {options.frames} frames", rows)


def predictions(
    series: TiltSeries,
    true_A: np.ndarray,
    *,
    steps,
    peak: float,
    channelling: bool = True,
) -> None:
    """PSNR by method of the frames half-way between every `step`-th one, and the atoms found."""
    print(f"{'every':>6} {'linear':>7} {'cubic':>7} {'atoms':>7} {'+resid.':>7} {'chann.':>7} {'+resid.':>7}  found")
    for step in steps:
        known = series.subset(slice(None, None, step))
        middle = np.arange(step // 2, len(series) - step // 2, step)
        middle = middle[middle < len(series) - 1 - (len(series) - 1) % step]
        tilt_deg, truth = series.tilt_deg[middle], series.frames[middle]

        def psnr_dB(frames, truth=truth):
            return float(np.mean(psnr_dB_of(((frames - truth) ** 2).mean(axis=(1, 2)), peak)))

        row = [psnr_dB(densify(known, tilt_deg=tilt_deg, method=m).frames) for m in ("linear", "cubic")]
        said = ""
        try:
            for term in (False, True)[: 1 + channelling]:
                model = fit_atoms(known, settings=AtomSettings(channelling=term))
                row += [psnr_dB(model.predict(tilt_deg, residual=r)) for r in (False, True)]
                said = _match(model, true_A)
        except NotAtoms as refused:
            said = str(refused)
        every_deg = known.tilt_deg[1] - known.tilt_deg[0]
        print(
            f"{every_deg:6g} " + " ".join(f"{dB:7.2f}" for dB in row) + f"  {said}",
            flush=True,
        )


def _match(model, true_A: np.ndarray) -> str:
    match = match_atoms(model.positions_A, true_A)
    return f"{match.matched} of {len(true_A)}, {match.invented} false, {match.rmsd_pm:.2f} pm"


def series(options) -> None:
    """A stored series: `frames`, `tilt_deg`, `positions_A` and `pixel_size_A`, or `box_A` with pixel i at i pixels."""
    stored = np.load(options.path)
    frames, n = stored["frames"].astype(np.float32), stored["frames"].shape[-1]
    peak = float(frames.max())
    if "box_A" in stored:
        half = np.exp(1j * np.pi * np.fft.fftfreq(n))
        half[n // 2] = 0
        frames = np.fft.ifft2(np.fft.fft2(frames) * half[:, None] * half).real
    pixel_size_A = float(stored["box_A"]) / n if "box_A" in stored else float(stored["pixel_size_A"])
    whole = TiltSeries(
        frames,
        stored["tilt_deg"],
        pixel_size_A,
        metadata={"microscope": MICROSCOPES[options.microscope]},
    )
    predictions(whole, stored["positions_A"], steps=options.steps, peak=peak)


def incoherent(options) -> None:
    """A particle by the incoherent engine, a frame every 1.5 degrees, of which one every 3 to 24 degrees is kept."""
    atoms = particle(options.atoms[0], element=options.element)
    whole = simulate_tilt_series(
        atoms,
        microscope=MICROSCOPES[options.microscope],
        tilt_deg=np.arange(-90, 90.1, 1.5),
        shape=96,
        field_of_view_A=2 * float(np.linalg.norm(atoms.positions, axis=1).max()) + 6,
        channelling=options.channelling,
    )
    print(f"{len(atoms)} atoms of {options.element}, {options.microscope}, pixels of {whole.pixel_size_A:.3f} A")
    peak = float(whole.frames.max())
    predictions(
        whole,
        atoms.positions,
        steps=options.steps,
        peak=peak,
        channelling=options.channelling,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, command, atoms, steps in (
        ("speed", speed, [137, 500, 2000, 10000], None),
        ("fit", whole_fit, [512], None),
        ("series", series, None, [2, 4]),
        ("particle", incoherent, [150], [2, 4, 8, 16]),
    ):
        sub = commands.add_parser(name, help=command.__doc__)
        sub.set_defaults(command=command)
        if atoms:
            sub.add_argument("--atoms", type=int, nargs="+", default=atoms)
        if steps:
            sub.add_argument(
                "--steps",
                type=int,
                nargs="+",
                default=steps,
                help="keep every n-th frame",
            )
            sub.add_argument("--microscope", choices=MICROSCOPES, default="non_aberrated")
        else:
            sub.add_argument("--frames", type=int, default=31)
            sub.add_argument("--device", default="cpu")
        if name == "series":
            sub.add_argument("path")
        if name == "particle":
            sub.add_argument("--element", default="Ir")
            sub.add_argument(
                "--channelling",
                action="store_true",
                help="in the simulation and in the fit",
            )
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
