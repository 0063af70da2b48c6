"""PRISM and multislice frames to test the fast engine with: `python benchmarks/multislice_frames.py` (about an hour).

Each frame is written as soon as it is finished, so that an interrupted call continues. The frames are shipped as
`tsg_core/samples/multislice_frames.npz` and read by `tsg_core.samples.multislice_frames`. `fit_channelling.py` fits its
coefficients to the frames of the training elements; the others test them.
"""

import time
from pathlib import Path

import click
import numpy as np

from tsg_core.samples.multislice_frames import CASES, FRAMES_FILE, case_series


@click.command()
@click.option("--work", "folder", default="artifacts/multislice_frames", show_default=True, type=Path)
@click.option("--only", default="", help="only frames whose name starts like this")
def main(folder, only):
    """Compute the missing frames and, once all are there, pack them."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        path = folder / f"{case.name}.npz"
        if path.exists() or not case.name.startswith(only):
            continue
        start = time.perf_counter()
        frame = case_series(case, engine=case.engine).frames[0]
        seconds = time.perf_counter() - start
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, frame=frame, seconds=seconds)
        partial.rename(path)
        click.echo(f"{case.name:44s} {seconds:7.1f} s")
    done = {case.name: np.load(folder / f"{case.name}.npz") for case in CASES if (folder / f"{case.name}.npz").exists()}
    if len(done) == len(CASES):
        packed = {name: stored["frame"] for name, stored in done.items()}
        packed |= {f"{name}, seconds": stored["seconds"] for name, stored in done.items()}
        np.savez_compressed(FRAMES_FILE, **packed)
        click.echo(f"{FRAMES_FILE}: {len(CASES)} frames")


if __name__ == "__main__":
    main()
