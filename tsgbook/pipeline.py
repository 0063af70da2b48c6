"""Running the chapters in order: each once, and again only if something that it depends on has changed."""

import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from tsg_core.errors import TsgError
from tsg_core.tools.digests import checksum, digest_of, disk_errors, plain, read_json, remove, write_json
from tsg_core.tools.provenance import FIGURES, code_version, package_versions

from .artifacts import Artifacts
from .chapters import CHAPTERS, Chapter, find_chapter
from .display import Display
from .execution import execute
from .notebook import in_step, modules_of, parameter_defaults, places, read_chapter, source_digest, write_executed
from .profiles import Profile, find_root
from .status import PeakMemory, device, git_state

RESULTS = "the recorded results"
NOT_RUN = "not run yet"


class Run:
    """The chapters of a checkout with a profile: finds out what is current, and runs what is not."""

    def __init__(self, profile: Profile, *, root: Path | None = None, chapters: tuple[Chapter, ...] = CHAPTERS):
        self.profile, self.chapters = profile, chapters
        self.root = (root or find_root()).resolve()
        self.notebooks = self.root / "notebooks"
        self.folder = self.root / "artifacts" / profile.name
        self.executed = self.folder / "executed"
        self.store = Artifacts(self.folder)

    def plan(self, *, only: str | None = None, force: bool = False) -> dict[str, str]:
        """Why each chapter would run, in words, as far as this is known before; empty for one that is current."""
        plan: dict[str, str] = {}
        for chapter in self._chosen(only):
            earlier = ", ".join(name for name in chapter.needs if plan.get(name))
            why = "--force" if force else self._why_run(chapter)
            plan[chapter.name] = why or (f"{earlier} runs before it" if earlier else "")
        return plan

    def run(self, *, only: str | None = None, force: bool = False, stream: TextIO | None = None) -> None:
        """Run the chapters that are not current, in order; `only` that one; with `force` also if current, from scratch.

        Raises TsgError if a chapter fails; it names the chapter and the cell, and says which chapter makes what is
        missing. Ctrl-C raises KeyboardInterrupt; the next run continues from there.
        """
        chosen = self._chosen(only)
        self._check_parameters(chosen)
        display = Display(len(self.chapters), stream=stream)
        where = os.path.relpath(self.root)
        with disk_errors(f"running {self.profile.name} in {where}"), self._lock(), display.live:
            for chapter in chosen:
                for name in self._made_by(chapter) if force else ():
                    self.store.forget(name)
                display.begin(self.chapters.index(chapter) + 1, chapter.name)
                if (self.notebooks / f"{chapter.name}.ipynb").exists() and not in_step(self.notebooks, chapter.name):
                    display.console.print(
                        f"{chapter.name}: the .ipynb differs from the .py, which counts; see jupytext --sync"
                    )
                why = self._why_run(chapter)
                if why and why != NOT_RUN:
                    display.console.print(f"{chapter.name} runs: {why}")
                if force or why:
                    self._execute(chapter, display)
                    display.end()
                else:
                    display.end("current")

    def outdated(self, *, but_for_results: bool = False) -> dict[str, str]:
        """Chapters that must run, and why; `but_for_results` omits those that would only show new recorded results."""
        reasons = {chapter.name: self._why_run(chapter) for chapter in self.chapters}
        omitted = ("", f"{RESULTS} changed") if but_for_results else ("",)
        return {name: why for name, why in reasons.items() if why not in omitted}

    def stamp(self, name: str) -> dict[str, Any] | None:
        """The recipe of the last complete execution of a chapter, and the time it took."""
        stamp = read_json(self.executed / f"{name}.json")
        return stamp if isinstance(stamp, dict) and stamp.keys() >= {"recipe", "artifacts"} else None

    def _chosen(self, only: str | None) -> tuple[Chapter, ...]:
        return self.chapters if only is None else (find_chapter(only, chapters=self.chapters),)

    def _why_run(self, chapter: Chapter) -> str:
        """Why a chapter must run, in words; empty if it is current and its artifacts are whole."""
        stamp, notebook = self.stamp(chapter.name), self.executed / f"{chapter.name}.ipynb"
        if stamp is None or not notebook.is_file():
            return NOT_RUN
        if checksum(notebook) != stamp.get("notebook", checksum(notebook)):
            return f"{os.path.relpath(notebook)} is not what was written (its checksum differs)"
        now, before = self._recipe(chapter), stamp["recipe"]
        try:
            artifacts = {name: self.store.whole(name)["sha256"] for name in stamp["artifacts"]}
        except TsgError as error:
            return str(error).split(";")[0]
        now, before = now | artifacts, before | stamp["artifacts"]
        changed = [key for key in {**now, **before} if now.get(key) != before.get(key)]
        return f"{', '.join(changed)} changed" if changed else ""

    def _recipe(self, chapter: Chapter) -> dict[str, Any]:
        """Everything that the outputs of a chapter depend on, under readable names."""
        notebook = read_chapter(self.notebooks, chapter.name)
        modules = modules_of(notebook)
        needed = [earlier for earlier in self.chapters if earlier.name in chapter.needs]
        results = sorted((self.root / "book" / "results").glob("*")) if "tsgbook.results" in modules else ()
        return {
            **plain(self.profile.parameters[chapter.name]),
            "its cells": source_digest(notebook),
            "the code in tsg_core that it uses": code_version({*modules, *FIGURES}),
            **{f"what lies at {key}": _with_companions(path) for key, path in self._outside(chapter).items()},
            **{name: digest for earlier in needed for name, digest in self._made_by(earlier).items()},
            RESULTS: _contents(results),
        }

    def _outside(self, chapter: Chapter) -> dict[str, Path]:
        """Files and folders outside the store that the chapter reads: parameters named `..._path`."""
        parameters = self.profile.parameters[chapter.name].items()
        return {key: self.root / value for key, value in parameters if key.endswith("_path") and value}

    def _made_by(self, chapter: Chapter) -> dict[str, str]:
        names = [n for n in self.store.names() if any(fnmatch(n, pattern) for pattern in chapter.makes)]
        return {name: self.store.provenance(name)["sha256"] for name in names}

    def _check_parameters(self, chosen: tuple[Chapter, ...]) -> None:
        for chapter in chosen:
            known = parameter_defaults(read_chapter(self.notebooks, chapter.name))
            for key in self.profile.parameters[chapter.name].keys() - known.keys():
                raise TsgError(
                    f"profile {self.profile.name} sets {chapter.name}.{key}, but the notebook's cell of parameters "
                    f"holds {', '.join(known) or 'nothing'}"
                )
            for key, path in self._outside(chapter).items():
                if not path.exists():
                    raise TsgError(f"{chapter.name}.{key} is {str(path)!r}, which does not exist")

    def _execute(self, chapter: Chapter, display: Display) -> None:
        source = read_chapter(self.notebooks, chapter.name)
        so_far, stamp_path = (self.executed / f"{chapter.name}.{suffix}" for suffix in ("failed.ipynb", "json"))
        outside = {key: str(path) for key, path in self._outside(chapter).items()}
        artifacts = self.folder.relative_to(self.root).as_posix()
        cells, memory = places(source), PeakMemory()
        self.executed.mkdir(parents=True, exist_ok=True)
        remove(stamp_path)
        recipe, began, started = self._recipe(chapter), datetime.now(UTC), time.perf_counter()

        def on_cell(cell_id: str) -> None:
            display.cell = cells.get(cell_id, display.cell)

        try:
            notebook = execute(
                source,
                parameters={**self.profile.parameters[chapter.name], **outside, "artifacts": artifacts},
                output=so_far,
                folder=self.notebooks,
                progress_file=display.progress_file,
                on_cell=on_cell,
                on_tick=display.tick,
                watch=memory.look,
            )
        except KeyboardInterrupt:
            remove(so_far)
            raise
        except TsgError as error:
            display.end("failed")
            where = ", ".join(filter(None, [chapter.name, display.cell]))
            raise TsgError(f"{where}: {error}") from None
        finally:
            remove(display.progress_file)
        seconds = time.perf_counter() - started
        made = self._made_by(chapter)
        reused = [s for s in map(self.store.provenance, made) if s["made"] < began.isoformat(timespec="seconds")]
        record = {
            "profile": self.profile.name,
            "chapter": chapter.name,
            "duration_s": round(seconds + sum(sidecar["duration_s"] for sidecar in reused), 1),
            "made": began.isoformat(timespec="seconds"),
            "peak_memory_bytes": memory.bytes,
            "git": git_state(self.root),
            "device": device(),
            "versions": package_versions(),
        }
        written = self.executed / f"{chapter.name}.ipynb"
        write_executed(notebook, written, root=self.root, record=record)
        remove(so_far)
        own = plain(self.profile.parameters[chapter.name])
        stamp = {"parameters": own, "recipe": recipe, "artifacts": made, "notebook": checksum(written)}
        write_json(stamp_path, {**record, **stamp})

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let only one run at a time write to the folder; the lock ends with the process, however that ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        holder = self.folder / ".running"
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                write_json(holder, {"process": os.getpid(), "host": platform.node()})
                try:
                    yield
                finally:
                    remove(holder)
        except Timeout:
            found, where = read_json(holder) or {}, os.path.relpath(self.folder)
            who = f", process {found.get('process', '?')} on {found.get('host', '?')}," if found else ""
            raise TsgError(f"another run{who} is at work in {where}; wait for it or stop it") from None


def describe(plan: dict[str, str]) -> str:
    """A line for each chapter: whether it would run, and why."""
    width = max(map(len, plan))
    return "\n".join(f"{name:{width}}  {f'runs: {why}' if why else 'is current'}" for name, why in plan.items())


def _with_companions(path: Path) -> str:
    """Digest of a folder, or of a file and those beside it with the same stem, which may hold its angles."""
    beside = sorted(file for file in path.parent.glob("*") if file.name.startswith(f"{path.stem}."))
    return _contents([path] if path.is_dir() else beside)


def _contents(paths: Iterable[Path]) -> str:
    return digest_of([[path.name, checksum(path)] for path in paths])
