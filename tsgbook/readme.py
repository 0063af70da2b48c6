"""The README's tables of results, written from the recorded tables so that no number is typed by hand."""

from pathlib import Path

import pandas as pd

from tsg_core.errors import TsgError
from tsg_core.tools.files import replaced_when_whole

from .experiments import multislice_table, summary
from .profiles import find_root
from .results import FOLDER, load_results, recorded

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def results_block(*, root: Path | None = None) -> str:
    """Markdown: mean PSNR of each method on the test particles and its paired gain over linear interpolation.

    The gains on the multislice test set (chapter 6) and off the methods' own model (chapter 8) follow, if they are
    recorded. Raises TsgError if no run is recorded.
    """
    table, sidecar = load_results("frame_metrics", root=root)
    gains = summary.gain_over(table, column="psnr_dB", of="method", baseline="linear")
    means = summary.over_particles(gains, by=["microscope", "method"], columns=["psnr_dB", "ssim", "gain"])
    rates = sorted(table["rate"].unique())
    lines = [
        f"Frames predicted at the midpoint of two measured ones: {table['particle'].nunique()} test particles of "
        f"elements and shapes that training never saw, mean over the rates {rates[0]} to {rates[-1]} (a measured "
        f"frame every {2 * rates[0]} to {2 * rates[-1]} tilt steps), 95 % intervals over particles. Profile "
        f"`{sidecar['profile']}`, incoherent image model, recorded on {sidecar['made'][:10]}.",
        "",
        "| microscope | method | PSNR (dB) | SSIM | gain over linear (dB) |",
        "|---|---|---|---|---|",
    ]
    for _, row in means.iterrows():
        gain = summary.with_interval(row["gain"], row["gain_low"], row["gain_high"])
        lines.append(
            f"| {row['microscope'].replace('_', '-')} | {row['method']} | {row['psnr_dB']:.2f} | {row['ssim']:.3f} | "
            f"{'' if row['method'] == 'linear' else gain} |"
        )
    root = root or find_root()
    return "\n".join([*lines, *_multislice_lines(table, root=root), *_off_model_lines(root=root)])


def _multislice_lines(incoherent: pd.DataFrame, *, root: Path) -> list[str]:
    """A row for each microscope and method, best first: gain on the multislice test set, and the paper's."""
    folder = root / FOLDER / multislice_table.FOLDER
    if not folder.is_dir():
        return []
    scored = multislice_table.read_frames(folder)
    columns = ["microscope", "method", *(f"every {s:g}°" for s in multislice_table.SPACINGS_deg), "mean", "particles"]
    rows = multislice_table.gains_table(scored, incoherent=incoherent)[[*columns, "paper"]]
    return [
        "",
        "The paper's experiment in its own physics: midpoints of multislice test particles, a frame measured every 8°, "
        "16° or 24° (the paper's rates 4, 8 and 12), gains over linear in dB with 95 % intervals over particles. A "
        "mean stands where every particle was scored at all three; slow methods were scored at few frames.",
        "",
        f"| {' | '.join(rows.columns)} |",
        "|" + "---|" * len(rows.columns),
        *(f"| {' | '.join(row)} |" for row in rows.itertuples(index=False)),
    ]


def _off_model_lines(*, root: Path) -> list[str]:
    """A row for each microscope and method: gain on multislice frames, and on frames of the methods' own model."""
    found = recorded("off_model_metrics", root=root)
    if found is None:
        return []
    table = found.table[found.table["method"] != "linear"]
    table = table.assign(
        gain=table["gain"].replace("", 0.0).astype(float)
    )  # a method that does not apply gains nothing
    means = summary.over_particles(table, by=["model", "microscope", "method"], columns=["gain"])
    texts = {
        (row["model"], row["microscope"], row["method"]): summary.with_interval(
            row["gain"], row["gain_low"], row["gain_high"], digits=1
        )
        for _, row in means.iterrows()
    }
    counts = means.groupby("model", sort=False)["particles"].max()
    deg = table.groupby("model")["spacing_deg"].unique()
    spacings = ", ".join(f"{s:g}°" for s in sorted(deg["multislice"]))
    lines = [
        "",
        f"The same off the methods' own model: {counts['multislice']} particles by multislice, a frame measured every "
        f"{spacings}; beside it {counts['incoherent']} test particles by the incoherent model, which flatters methods "
        f"that fit it, a frame measured every {min(deg['incoherent']):g}° to {max(deg['incoherent']):g}°. Profile "
        f"`{found.sidecar['profile']}`, recorded on {found.sidecar['made'][:10]}.",
        "",
        "| microscope | method | gain over linear, multislice (dB) | incoherent (dB) |",
        "|---|---|---|---|",
    ]
    for microscope in table["microscope"].unique():
        for method in table["method"].unique():
            own, crime = (texts.get((model, microscope, method), "–") for model in ("multislice", "incoherent"))
            lines.append(f"| {microscope.replace('_', '-')} | {method} | {own} | {crime} |")
    return lines


def fill_readme(path: Path, *, root: Path | None = None) -> Path:
    """Put the block of results between the README's two markers; raises TsgError if they are missing."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise TsgError(f"{path.name} must hold the markers {BEGIN} and {END} once each")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with replaced_when_whole(path, overwrite=True) as (partial,):
        partial.write_text(f"{before}{BEGIN}\n{results_block(root=root)}\n{END}{after}", encoding="utf-8")
    return path
