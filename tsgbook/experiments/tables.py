"""Tables of experiments that grow piece by piece, so that an interrupted experiment goes on where it was."""

import os
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from tsg_core.tools.cluster import mapped

TABLE = "table.csv"


def grow_table(
    folder: str | Path,
    rows: Callable[..., Iterable[dict]],
    work: Mapping[tuple[Hashable, ...], tuple],
    *,
    keys: list[str],
    label: str,
) -> None:
    """Write the rows of every piece of `work` to the table in `folder`, which is kept whole after each piece.

    `work` maps the values of the columns `keys` to arguments of `rows`, which yields the rows of that piece without
    those columns. Pieces that are in the table already are left out; others are computed where `tools.cluster` says,
    with what `rows` holds sent there once. The table lists the pieces in the order of `work`, whichever ends first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = _parts(folder, keys) if (folder / TABLE).exists() else {}
    left = [(key, *arguments) for key, arguments in work.items() if key not in parts]
    for (key, *_), found in mapped(partial(_listed, rows), left, label=label, done=len(work) - len(left)):
        columns = dict(zip(keys, key, strict=True))
        parts[key] = pd.DataFrame([columns | row for row in found])
        ordered = [parts[k] for k in (*(k for k in parts if k not in work), *work) if k in parts]
        _write(folder, pd.concat(ordered, ignore_index=True))


def drop_rows(folder: str | Path, unwanted: Collection[tuple[Hashable, ...]], *, keys: list[str]) -> None:
    """Remove the rows whose values of the columns `keys` are unwanted, so that `grow_table` computes them again."""
    folder = Path(folder)
    if (folder / TABLE).exists():
        table = read_table(folder)
        _write(folder, table[[key not in unwanted for key in table[keys].itertuples(index=False, name=None)]])


def _listed(rows: Callable[..., Iterable[dict]], _key: tuple[Hashable, ...], *arguments) -> list[dict]:
    return list(rows(*arguments))


def _parts(folder: Path, keys: list[str]) -> dict[tuple[Hashable, ...], pd.DataFrame]:
    """The rows of each piece that is in the table."""
    return dict(iter(read_table(folder).groupby(keys, sort=False)))


def read_table(folder: str | Path) -> pd.DataFrame:
    """The table in an experiment's folder."""
    return pd.read_csv(Path(folder) / TABLE, keep_default_na=False)


def _write(folder: Path, table: pd.DataFrame) -> None:
    table.to_csv(folder / f"{TABLE}.tmp", index=False)
    os.replace(folder / f"{TABLE}.tmp", folder / TABLE)
