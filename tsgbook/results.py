"""Recorded results: the small tables of the last full run of a profile, in `book/results`, with their provenance."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsg_core.errors import TsgError
from tsg_core.tools.digests import plain, write_json
from tsg_core.tools.files import replaced_when_whole
from tsg_core.tools.progress import clock

from .chapters import (
    CHAPTERS,
    DOSE_METRICS,
    FRAME_METRICS,
    OBJECT_DOSE,
    OBJECT_VOLUMES,
    OFF_MODEL_METRICS,
    VOLUME_METRICS,
    maker_of,
)
from .profiles import Profile, find_root

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path("book") / "results"
# name -> the artifact and the file in it
TABLES = {
    "frame_metrics": (FRAME_METRICS, "table.csv"),
    "volume_metrics": (VOLUME_METRICS, "table.csv"),
    "dose_metrics": (DOSE_METRICS, "table.csv"),
    "off_model_metrics": (OFF_MODEL_METRICS, "table.csv"),
    "object_volumes": (OBJECT_VOLUMES, "table.csv"),
    "object_dose": (OBJECT_DOSE, "table.csv"),
}
DURATIONS = "durations"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A recorded table and its sidecar: profile, parameters by chapter, versions, duration_s, made (date), sha256."""

    table: "pd.DataFrame"
    sidecar: Mapping[str, Any]


def record(profile: Profile, *, root: Path | None = None) -> list[Path]:
    """Copy the tables of a complete and current run of `profile` to `book/results`; returns the files.

    Raises TsgError for a chapter that has not run or is not current.
    """
    from .pipeline import Run

    run = Run(profile, root=root)
    for chapter, why in run.outdated(but_for_results=True).items():
        raise TsgError(f"{chapter} is not current ({why}); run it first: tsg run --profile {profile.name}")
    folder = run.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (artifact, file) in TABLES.items():
        content = (run.store.path(artifact) / file).read_bytes()
        made = run.store.provenance(artifact)
        chapters = _with_needs(maker_of(artifact))
        written += _write(folder, name, content, profile, chapters, made)
    stamps = {chapter.name: run.stamp(chapter.name) for chapter in run.chapters}
    rows = "".join(f"{name},{stamp['duration_s']}\n" for name, stamp in stamps.items())
    last = max(stamps.values(), key=lambda stamp: stamp["made"])
    total = {**last, "duration_s": round(sum(stamp["duration_s"] for stamp in stamps.values()), 1)}
    content = f"chapter,duration_s\n{rows}".encode()
    return written + _write(folder, DURATIONS, content, profile, list(stamps), total)


def load_results(name: str, *, root: Path | None = None) -> "tuple[pd.DataFrame, dict[str, Any]]":
    """A recorded table and its sidecar; raises TsgError if it is missing or does not match its checksum."""
    import pandas as pd

    path = (root or find_root()) / FOLDER / f"{name}.csv"
    if not (path.is_file() and path.with_suffix(".json").is_file()):
        raise TsgError(f"{name} has not been recorded; tsg run --profile book, then tsg record --profile book")
    sidecar = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if hashlib.sha256(path.read_bytes()).hexdigest() != sidecar["sha256"]:
        raise TsgError(f"{FOLDER / path.name} is not what was recorded (its checksum differs); run tsg record again")
    return pd.read_csv(path, keep_default_na=False), sidecar


def recorded(name: str, *, root: Path | None = None) -> Recorded | None:
    """The recorded table with this name, or None if no run has been recorded yet."""
    if not ((root or find_root()) / FOLDER / f"{name}.json").is_file():
        return None
    table, sidecar = load_results(name, root=root)
    return Recorded(table=table, sidecar=sidecar)


def show(
    result: Recorded | None,
    draw: Callable[["pd.DataFrame"], Any],
    *,
    this_run: "pd.DataFrame | None" = None,
    profile: str = "",
    caption: str = "",
) -> None:
    """Show in a notebook what `draw` makes from a recorded table, with its date and duration; say so if there is none.

    With the table of `this_run`, made with `profile`, both stand in tabs of the page, the recorded one first; there is
    one tab if they are the same. A table that `draw` returns is displayed under `caption`.
    """
    from .figures.shown import begin_tab, say

    if result is not None:
        made_with = result.sidecar["profile"]
        if this_run is not None:
            begin_tab(f"Recorded run (profile {made_with})", key="recorded")
        _draw(draw, result.table, caption=f"{caption} (recorded run, profile {made_with})".strip())
        when, took = result.sidecar["made"][:10], clock(result.sidecar["duration_s"])
        say(f"*Made on {when} with the profile `{made_with}` in {took}.*")
    elif this_run is None:
        say("*No run of the profile `book` has been recorded yet: `tsg record --profile book`.*")
    if this_run is not None and not (result is not None and _equal(this_run, result.table)):
        begin_tab(f"This run (profile {profile})", key="this")
        _draw(draw, this_run, caption=f"{caption} (this run, profile {profile})".strip())


def _draw(draw: Callable[["pd.DataFrame"], Any], table: "pd.DataFrame", *, caption: str) -> None:
    from IPython.display import display

    drawn = draw(table)
    if hasattr(drawn, "style"):
        drawn = drawn.style.hide(axis="index")
    if hasattr(drawn, "set_caption"):
        drawn = drawn.set_caption(caption[:1].upper() + caption[1:])
    if drawn is not None:
        display(drawn)


def _equal(one: "pd.DataFrame", other: "pd.DataFrame") -> bool:
    """Whether both hold the same values; times differ from run to run."""
    timeless = [table[[c for c in table.columns if not c.endswith("_s")]] for table in (one, other)]
    return timeless[0].equals(timeless[1])


def outdated(profile: Profile, *, root: Path | None = None) -> dict[str, str]:
    """Recorded tables made with other parameters than `profile` has now, and the parameters that differ."""
    found = {}
    for path in sorted(((root or find_root()) / FOLDER).glob("*.json")):
        sidecar = json.loads(path.read_text(encoding="utf-8"))
        if sidecar["profile"] != profile.name:
            found[path.stem] = f"made with the profile {sidecar['profile']}"
            continue
        differing = [
            f"{chapter}.{key}"
            for chapter, values in sidecar["parameters"].items()
            for key in values.keys() | profile.parameters[chapter].keys()
            if values.get(key) != plain(profile.parameters[chapter].get(key))
        ]
        if differing:
            found[path.stem] = f"made with another {', '.join(sorted(differing))}"
    return found


def _with_needs(name: str) -> list[str]:
    """A chapter and those on which it depends, in order."""
    wanted = {name}
    for chapter in reversed(CHAPTERS):
        if chapter.name in wanted:
            wanted.update(chapter.needs)
    return [chapter.name for chapter in CHAPTERS if chapter.name in wanted]


def _write(
    folder: Path, name: str, content: bytes, profile: Profile, chapters: Iterable[str], made: Mapping[str, Any]
) -> list[Path]:
    path = folder / f"{name}.csv"
    sidecar = {
        "profile": profile.name,
        "parameters": {chapter: plain(profile.parameters[chapter]) for chapter in chapters},
        **{key: made[key] for key in ("versions", "duration_s", "made")},
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with replaced_when_whole(path, overwrite=True) as (partial,):
        partial.write_bytes(content)
    write_json(path.with_suffix(".json"), sidecar)
    return [path, path.with_suffix(".json")]
