"""Running the chapters in order: each once, and again only if something that it depends on has changed."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TextIO

import nbformat
from filelock import FileLock, Timeout

from tsg_core.errors import TsgError
from tsg_core.tools.digests import checksum, digest_of, disk_errors, plain, remove, write_json
from tsg_core.tools.provenance import code_version, package_versions

from .artifacts import Artifacts
from .chapters import CHAPTERS, Chapter, find_chapter
from .display import Display
from .execution import CellFailed, execute
from .notebook import (
    cell_title,
    code_texts,
    in_step,
    modules_of,
    parameter_defaults,
    place_of,
    read_chapter,
    refreshed,
    source_digest,
    with_parameters,
    without_paths,
    write_executed,
)
from .profiles import Profile, find_root

TRACEBACK_LINES = 12
RESULTS = "the recorded results"
NEW_RESULTS = f"{RESULTS} changed"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do with a chapter: `action` is "run", "refresh" (prose only) or "skip"; `why` is in words."""

    chapter: str
    action: str
    why: str


class Run:
    """The chapters of a checkout with a profile: finds out what is current, and runs what is not."""

    def __init__(self, profile: Profile, *, root: Path | None = None, chapters: tuple[Chapter, ...] = CHAPTERS):
        self.profile, self.chapters = profile, chapters
        self.root = (root or find_root()).resolve()
        self.notebooks = self.root / "notebooks"
        self.folder = self.root / "artifacts" / profile.name
        self.executed = self.folder / "executed"
        self.store = Artifacts(self.folder)

    def plan(self, *, only: str | None = None, force: bool = False) -> list[Step]:
        """What `run` would do, as far as this is known before the chapters have run."""
        steps: list[Step] = []
        for chapter in self._chosen(only):
            earlier = [s.chapter for s in steps if s.action == "run" and s.chapter in chapter.needs]
            step = self._step(chapter, force=force)
            if step.action != "run" and earlier:
                step = Step(chapter=chapter.name, action="run", why=f"{', '.join(earlier)} runs before it")
            steps.append(step)
        return steps

    def run(self, *, only: str | None = None, force: bool = False, stream: TextIO | None = None) -> None:
        """Run the chapters that are not current, in order; `only` that one; with `force` also if current, from scratch.

        Raises TsgError if a chapter fails (it names the chapter and the cell), and if `only` lacks what it needs.
        Ctrl-C raises KeyboardInterrupt; the next run continues from there.
        """
        chosen = self._chosen(only)
        self._check_parameters(chosen)
        if only is not None:
            self._check_needs(chosen[0])
        where = os.path.relpath(self.root)
        display = Display(len(self.chapters), stream=stream)
        with disk_errors(f"running {self.profile.name} in {where}"), self._lock(), display:
            for chapter in chosen:
                if force:
                    for name in self._made_by(chapter):
                        self.store.forget(name)
                self._run_chapter(chapter, self._step(chapter, force=force), display)

    def outdated(self, *, but_for_results: bool = False) -> dict[str, str]:
        """Chapters that must run, and why; `but_for_results` omits those that would only show new recorded results."""
        reasons = {chapter.name: self._why_run(chapter) for chapter in self.chapters}
        return {name: why for name, why in reasons.items() if why and not (but_for_results and why == NEW_RESULTS)}

    def stamp(self, name: str) -> dict[str, Any] | None:
        """The recipe of the last complete execution of a chapter, and the time it took."""
        try:
            return json.loads(self._stamp_path(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def _chosen(self, only: str | None) -> tuple[Chapter, ...]:
        return self.chapters if only is None else (find_chapter(only, chapters=self.chapters),)

    def _step(self, chapter: Chapter, *, force: bool) -> Step:
        why = "--force" if force else self._why_run(chapter)
        if why:
            return Step(chapter=chapter.name, action="run", why=why)
        if self.stamp(chapter.name)["source"] != source_digest(read_chapter(self.notebooks, chapter.name)):
            return Step(chapter=chapter.name, action="refresh", why="only its text changed")
        return Step(chapter=chapter.name, action="skip", why="current")

    def _why_run(self, chapter: Chapter) -> str:
        """Why a chapter must run, in words; empty if it is current and its artifacts are whole."""
        stamp = self.stamp(chapter.name)
        if stamp is None or not (self.executed / f"{chapter.name}.ipynb").is_file():
            return "not run yet"
        now, before = self._recipe(chapter), stamp["recipe"]
        changed = [key for key in {**now, **before} if now.get(key) != before.get(key)]
        if changed and changed != [RESULTS]:
            return f"{', '.join(key for key in changed if key != RESULTS)} changed"
        for name, digest in stamp["artifacts"].items():
            try:
                self.store.path(name)
            except TsgError as error:
                return str(error).split(";")[0]
            if self.store.provenance(name)["sha256"] != digest:
                return f"{name} changed"
        return NEW_RESULTS if changed else ""

    def _recipe(self, chapter: Chapter) -> dict[str, Any]:
        """Everything that the outputs of a chapter depend on, under readable names."""
        notebook = read_chapter(self.notebooks, chapter.name)
        modules = modules_of(notebook)
        needed = [earlier for earlier in self.chapters if earlier.name in chapter.needs]
        return {
            **plain(self.profile.parameters[chapter.name]),
            "its code cells": digest_of(code_texts(notebook)),
            "the code in tsg_core that it uses": code_version(modules, figures=True),
            **{f"what lies at {key}": _with_companions(path) for key, path in self._outside(chapter).items()},
            **{name: digest for earlier in needed for name, digest in self._made_by(earlier).items()},
            RESULTS: self._recorded_digest() if "tsgbook.results" in modules else None,
        }

    def _outside(self, chapter: Chapter) -> dict[str, Path]:
        """Files and folders outside the store that the chapter reads: parameters named `..._path`."""
        parameters = self.profile.parameters[chapter.name].items()
        return {key: self.root / value for key, value in parameters if key.endswith("_path") and value}

    def _recorded_digest(self) -> str:
        files = sorted((self.root / "book" / "results").glob("*"))
        return digest_of([[file.name, file.read_text(encoding="utf-8")] for file in files])

    def _made_by(self, chapter: Chapter) -> dict[str, str]:
        names = [n for n in self.store.names() if any(fnmatch(n, pattern) for pattern in chapter.makes)]
        return {name: self.store.provenance(name)["sha256"] for name in names}

    def _check_parameters(self, chosen: tuple[Chapter, ...]) -> None:
        for chapter in chosen:
            known = parameter_defaults(read_chapter(self.notebooks, chapter.name))
            for key in self.profile.parameters[chapter.name]:
                if key not in known:
                    raise TsgError(
                        f"profile {self.profile.name} sets {chapter.name}.{key}, but the notebook's cell of parameters "
                        f"holds {', '.join(known) or 'nothing'}"
                    )
            for key, path in self._outside(chapter).items():
                if not path.exists():
                    raise TsgError(f"{chapter.name}.{key} is {str(path)!r}, which does not exist")

    def _check_needs(self, chapter: Chapter) -> None:
        for need in (c for c in self.chapters if c.name in chapter.needs):
            missing = [pattern for pattern in need.makes if not any(fnmatch(n, pattern) for n in self._made_by(need))]
            if missing:
                raise TsgError(
                    f"{chapter.name} needs {', '.join(missing)} of chapter {need.name}; run that first: "
                    f"tsg run --profile {self.profile.name} --only {need.name}"
                )

    def _run_chapter(self, chapter: Chapter, step: Step, display: Display) -> None:
        self.executed.mkdir(parents=True, exist_ok=True)
        progress_file = Path(tempfile.gettempdir()) / f"tsg-progress-{os.getpid()}"
        display.begin(self.chapters.index(chapter) + 1, chapter.name, progress_file=progress_file)
        if (self.notebooks / f"{chapter.name}.ipynb").exists() and not in_step(self.notebooks, chapter.name):
            display.say(f"{chapter.name}: the .ipynb is out of step with the .py, which counts (see jupytext --sync)")
        if step.action == "skip":
            display.end(step.why)
            return
        source = read_chapter(self.notebooks, chapter.name)
        target = self.executed / f"{chapter.name}.ipynb"
        if step.action == "refresh":
            before = nbformat.read(target, as_version=4)
            write_executed(refreshed(before, source), target, root=self.root, record=before.metadata["tsg"])
            write_json(self._stamp_path(chapter.name), self.stamp(chapter.name) | {"source": source_digest(source)})
            display.end(step.why)
            return
        try:
            self._execute(chapter, source, target, display, progress_file)
        finally:
            remove(progress_file)
        display.end()

    def _execute(self, chapter: Chapter, source, target: Path, display: Display, progress_file: Path) -> None:
        partial, failed = target.with_suffix(".partial.ipynb"), target.with_suffix(".failed.ipynb")
        remove(self._stamp_path(chapter.name))
        recipe, began, started = self._recipe(chapter), datetime.now(UTC), time.perf_counter()
        parameters = {
            **self.profile.parameters[chapter.name],
            **{key: str(path) for key, path in self._outside(chapter).items()},
            "artifacts": self.folder.relative_to(self.root).as_posix(),
        }
        ready = with_parameters(source, parameters)

        def on_cell(index: int) -> None:
            if ready.cells[index].cell_type == "code":
                display.at_cell(*place_of(ready, index), cell_title(ready, index))

        try:
            notebook = execute(
                ready, output=partial, folder=self.notebooks, progress_file=progress_file, on_cell=on_cell,
                on_tick=display.tick,
            )  # fmt: skip
        except CellFailed as error:
            so_far = nbformat.read(partial, as_version=4)
            write_executed(so_far, failed, root=self.root, record={"chapter": chapter.name, "failed": True})
            display.end("failed")
            raise TsgError(self._failure(chapter, ready, error, failed)) from None
        finally:
            remove(partial)
        seconds = time.perf_counter() - started
        made = self._made_by(chapter)
        for pattern in chapter.makes:
            if not any(fnmatch(name, pattern) for name in made):
                raise TsgError(f"{chapter.name} ended without making {pattern} in {self.store.folder}")
        reused_s = sum(
            side["duration_s"]
            for side in map(self.store.provenance, made)
            if datetime.fromisoformat(side["made"]) < began.replace(microsecond=0)
        )
        record = {
            "profile": self.profile.name,
            "chapter": chapter.name,
            "duration_s": round(seconds + reused_s, 1),
            "made": began.isoformat(timespec="seconds"),
            "versions": package_versions(),
        }
        write_executed(notebook, target, root=self.root, record=record)
        remove(failed)
        own = plain(self.profile.parameters[chapter.name])
        stamp = {**record, "parameters": own, "recipe": recipe, "source": source_digest(source), "artifacts": made}
        write_json(self._stamp_path(chapter.name), stamp)

    def _failure(self, chapter: Chapter, notebook, error: CellFailed, failed: Path) -> str:
        number, n_cells = place_of(notebook, error.index)
        where = f"{chapter.name}, cell {number} of {n_cells}"
        if error.kind == "TsgError":
            return f"{where}: {error.message}"
        first = next((line for line in error.source.splitlines() if line.strip()), "")
        lines = without_paths(error.traceback, self.root).rstrip().splitlines()[-TRACEBACK_LINES:]
        kept = f"the notebook so far is {os.path.relpath(failed)}"
        return "\n".join([f"{where}, which begins {first!r}, raised {error.kind}; {kept}", *(f"  {x}" for x in lines)])

    def _stamp_path(self, name: str) -> Path:
        return self.executed / f"{name}.json"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let only one run at a time write to the folder; the lock ends with the process, however that ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout:
            where = os.path.relpath(self.folder)
            raise TsgError(f"another run is at work in {where}; wait for it or stop it") from None


def describe(steps: list[Step]) -> str:
    """A line for each chapter: what would be done, and why."""
    words = {"run": "runs", "refresh": "takes in its new text", "skip": "is skipped"}
    width = max(len(step.chapter) for step in steps)
    return "\n".join(f"{step.chapter:{width}}  {words[step.action]}: {step.why}" for step in steps)


def _with_companions(path: Path) -> str:
    """Hash of the contents at a path and of files beside it with the same stem, which may hold its angles."""
    if not path.exists():
        return ""
    files = [path] if path.is_dir() else sorted(f for f in path.parent.glob("*") if f.name.startswith(f"{path.stem}."))
    return digest_of([[file.name, checksum(file)] for file in files])
