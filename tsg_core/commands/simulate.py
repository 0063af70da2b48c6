"""`tsg simulate`: the tilt series that a microscope would record of your own structure."""

from pathlib import Path

import click

from ..errors import TsgError
from .options import PATH, check_output, file_output

FIELD_OF_VIEW_A = 40.0  # of a sample that goes on outside the frames
SAMPLES = ("particle", "film", "lamella", "needle", "on-carbon")
ENGINES = ("incoherent", "multislice", "abtem_multislice", "abtem_prism")


@click.command()
@click.argument("source", metavar="FILE", type=PATH)
@file_output
@click.option("--microscope", default="aberrated", show_default=True, help="aberrated, non_aberrated, or a YAML file.")
@click.option("--tilts", type=PATH, help="Text file of angles in degrees, one a line.")
@click.option("--step", default=2.0, show_default=True, metavar="DEG", help="Step of the angles without --tilts.")
@click.option("--range", "range_deg", nargs=2, type=float, default=(-70.0, 70.0), show_default=True, metavar="FROM TO")
@click.option("--shape", default=128, show_default=True, metavar="PX", help="Pixels along each side of a frame.")
@click.option("--field-of-view", "field_of_view_A", type=float, metavar="A", help="Edge of a frame; else what fits.")
@click.option("--sample", type=click.Choice(SAMPLES), default="particle", show_default=True, help="What FILE becomes.")
@click.option("--thickness", "thickness_A", type=float, metavar="A", help="Of a film, lamella, carbon, or of a needle.")
@click.option("--crystalline", is_flag=True, help="Of an element, make a film or needle one crystal, not a glass.")
@click.option("--diameter", "diameter_A", type=float, metavar="A", help="Cut a sphere out of a periodic crystal.")
@click.option("--dose", "dose_per_A2", type=float, metavar="E/A2", help="Electrons per A^2 and frame; else no noise.")
@click.option("--engine", type=click.Choice(ENGINES), default="incoherent", show_default=True)
@click.option("--channelling", is_flag=True, help="Atoms in columns change what others scatter; incoherent only.")
@click.option("--box", "box_A", type=float, metavar="A", help="Box edge of the engine multislice; else what fits.")
@click.option("--phonons", "phonon_configurations", type=int, metavar="N", help="Frozen phonons to average; else none.")
@click.option("--memory", "memory_GB", type=float, metavar="GB", help="For the engine multislice; else what is free.")
@click.option("--device", metavar="NAME", help="Of the engine multislice: cpu, or cuda for a GPU.")
@click.option("--seed", default=0, show_default=True, help="Of the noise and of sites occupied in part.")
def simulate(
    source, output, overwrite, microscope, tilts, step, range_deg, shape, field_of_view_A, diameter_A, dose_per_A2,
    sample, thickness_A, crystalline, engine, channelling, seed, **engine_options,
) -> None:  # fmt: skip
    """Simulate the tilt series of a structure.

    FILE has any format that ASE reads: cif, xyz, vasp, ... A particle is made whole and centred, even if the faces of
    its cell cut it. From a periodic crystal, --diameter cuts a sphere. Partly occupied sites are drawn at random. The
    YAML file of a microscope contains fields of `tsg_core.microscope.Microscope`, for example `convergence_mrad: 30`.

    With --sample, FILE is a chemical symbol or a periodic cell, and a film, lamella or needle of it goes on outside the
    frames; or FILE is a particle, which is put on amorphous carbon: `tsg simulate Ta --sample film -o film.mrc`.
    """
    symbol = sample not in ("particle", "on-carbon") and not source.suffix
    check_output(output, sources=() if symbol else (source,), overwrite=overwrite)
    options = {"channelling": channelling, **engine_options}
    if channelling and engine != "incoherent":
        raise TsgError(f"--channelling is for the engine incoherent; {engine} has it by itself")
    if sample == "particle" and (thickness_A is not None or crystalline):
        raise TsgError(
            "--thickness and --crystalline are for a --sample that goes on outside the frames: "
            + ", ".join(SAMPLES[1:])
        )
    from ..formats import check_writable
    from ..simulation.extended_samples import extended_sample
    from ..simulation.from_files import field_of_view_of, microscope_from, particle_from
    from ..simulation.series import simulate_tilt_series

    check_writable(output)
    chosen = microscope_from(microscope)
    tilt_deg = _angles(tilts, step, range_deg)
    made = []
    if sample == "particle":
        atoms = particle_from(source, diameter_A=diameter_A, seed=seed, say=made.append)
        field_of_view_A = field_of_view_A or field_of_view_of(atoms, chosen)
    else:
        if diameter_A is not None:
            raise TsgError("--diameter cuts a particle out of a crystal; a --sample that goes on has a --thickness")
        field_of_view_A = field_of_view_A or FIELD_OF_VIEW_A
        atoms = extended_sample(
            source,
            sample=sample,
            microscope=chosen,
            tilt_deg=tilt_deg,
            field_of_view_A=field_of_view_A,
            thickness_A=thickness_A,
            crystalline=crystalline,
            seed=seed,
            say=made.append,
        )
    for sentence in made:
        click.echo(sentence)
    series = simulate_tilt_series(
        atoms,
        microscope=chosen,
        tilt_deg=tilt_deg,
        shape=shape,
        field_of_view_A=field_of_view_A,
        engine=engine,
        dose_per_A2=dose_per_A2,
        seed=seed,
        **{name: value for name, value in options.items() if value not in (None, False)},
    )
    for sentence in [*made, f"Simulated of {source.name} ({atoms.get_chemical_formula()}) by the engine {engine}"]:
        series = series.noted(sentence)
    series.write(output, overwrite=overwrite)
    click.echo(f"{atoms.get_chemical_formula()}: {len(atoms)} atoms, {len(series)} frames of {shape} x {shape} px")
    click.echo(f"wrote {output}: pixels of {series.pixel_size_A:.4g} A")


def _angles(tilts: Path | None, step: float, range_deg: tuple[float, float]):
    import numpy as np

    from ..formats import read_angles

    if tilts is not None:
        return np.sort(read_angles(tilts))
    low, high = range_deg
    if not (step > 0 and high > low):
        raise TsgError(f"--range {low:g} {high:g} must ascend, and --step {step:g} be positive")
    return low + step * np.arange(np.floor((high - low) / step + 1e-9) + 1)
