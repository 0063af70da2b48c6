"""Tables of experiments that grow piece by piece, so that an interrupted experiment goes on where it was."""

import os
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

import pandas as pd

from tsg_core.tools.progress import track

TABLE = "table.csv"


def grow_table(
    folder: str | Path, work: Mapping[tuple[Hashable, ...], Callable[[], list[dict]]], *, keys: list[str], label: str
) -> None:
    """Write the rows of every piece of `work` to the table in `folder`, which is kept whole after each piece.

    `work` maps the values of the columns `keys` to a function that computes the rows of that piece, without those
    columns. Pieces that are in the table already are left out.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [read_table(folder)] if (folder / TABLE).exists() else []
    done = {key for part in parts for key in part[keys].itertuples(index=False, name=None)}
    left = [key for key in work if key not in done]
    for key in track(left, label=label, total=len(work), done=len(work) - len(left)):
        columns = dict(zip(keys, key, strict=True))
        parts.append(pd.DataFrame([columns | row for row in work[key]()]))
        pd.concat(parts, ignore_index=True).to_csv(folder / f"{TABLE}.tmp", index=False)
        os.replace(folder / f"{TABLE}.tmp", folder / TABLE)


def read_table(folder: str | Path) -> pd.DataFrame:
    """The table in an experiment's folder."""
    return pd.read_csv(Path(folder) / TABLE, keep_default_na=False)
