"""The results that chapters hand on: one folder a profile, each artifact whole or not there, with what made it.

Beside an artifact `NAME` lies `NAME.json`, written last: parameters, digests of the inputs, code and package versions,
duration, date, size and checksum. Whether an artifact is current and whole is decided by that sidecar.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from tsg_core.errors import TsgError
from tsg_core.tools.digests import _sizes, checksum, digest_of, disk_errors, plain, remove, write_json
from tsg_core.tools.provenance import code_version, package_versions

from .cells import running_code
from .chapters import maker_of


class Artifacts:
    """The artifacts in a folder, which is named after its profile; made where missing by the first `make`."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def make(
        self,
        name: str,
        build: Callable[[Path], Any],
        *,
        parameters: Mapping[str, Any],
        inputs: Iterable[str] = (),
        code: Sequence[ModuleType | str] = (),
    ) -> Path:
        """The path of an artifact, built first unless the one that is there is current.

        `build(path)` writes a file or a folder at a path that is the same after an interruption and keeps the suffix
        of `name`. A folder that an interrupted build left is still there then, so that the build can go on from it; a
        file is not. The artifact is current when `parameters`, the contents of the artifacts named in `inputs` and
        the code of the `tsg_core` modules in `code` (and of those they import) are what they were, and, while the
        pipeline runs a chapter, the code in the notebook that this call depends on too.

        Raises TsgError for a missing or truncated input, a full disk and a folder that cannot be written.
        """
        recipe = {
            "parameters": plain(parameters),
            "inputs": {other: self._whole(other)["sha256"] for other in inputs},
            "code": code_version(code),
        }
        code_cells = running_code()
        cells = None if code_cells is None else digest_of(code_cells)
        if self._current(name, recipe, cells):
            return self.folder / name
        partial = self._partial(name, digest_of([recipe, cells]))
        with disk_errors(f"writing {name} in {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            duration_s = self._build(partial, build)
            self._finish(name, partial, recipe | {"cells": cells, "duration_s": duration_s})
        return self.folder / name

    def path(self, name: str) -> Path:
        """Where an artifact lies; TsgError with the command that makes it where it is missing or not whole."""
        self._whole(name)
        return self.folder / name

    def provenance(self, name: str) -> dict[str, Any]:
        """The sidecar: parameters, inputs, code, versions, duration_s, made (date), bytes, sha256."""
        sidecar = self._sidecar(name)
        if sidecar is None:
            raise TsgError(f"{self.folder / name} {self._why_missing(name)}; {self._remedy(name)}")
        return sidecar

    def names(self) -> list[str]:
        """Names of the finished artifacts, sorted."""
        return sorted(
            path.name.removesuffix(".json")
            for path in self.folder.glob("*.json")
            if (self.folder / path.name.removesuffix(".json")).exists()
        )

    def forget(self, name: str) -> None:
        """Let the next `make` build an artifact from the start, whatever is there."""
        remove(self._sidecar_path(name))
        self._remove_partials(name)

    def _whole(self, name: str) -> dict[str, Any]:
        sidecar = self.provenance(name)
        path = self.folder / name
        if not path.exists():
            raise TsgError(f"{path} is missing; {self._remedy(name)}")
        if path.is_dir():
            sizes = _sizes(path)
            for inner, size in sidecar.get("files", {}).items():
                if sizes.get(inner) != size:
                    found = "missing" if inner not in sizes else f"{sizes[inner]} bytes long"
                    raise TsgError(f"{path / inner} is {found} instead of {size} bytes; {self._remedy(name)}")
        elif path.stat().st_size != sidecar["bytes"]:
            found = path.stat().st_size
            raise TsgError(f"{path} is {found} bytes long instead of {sidecar['bytes']}; {self._remedy(name)}")
        elif checksum(path) != sidecar["sha256"]:
            raise TsgError(f"{path} is not what was written (its checksum differs); {self._remedy(name)}")
        return sidecar

    def _current(self, name: str, recipe: dict, cells: str | None) -> bool:
        sidecar = self._sidecar(name)
        if sidecar is None or any(sidecar.get(key) != value for key, value in recipe.items()):
            return False
        if cells is not None and sidecar.get("cells") not in (None, cells):
            return False
        try:
            self._whole(name)
        except TsgError:
            return False
        return True

    def _build(self, partial: Path, build: Callable[[Path], Any]) -> float:
        clock = partial.with_name(f"{partial.name}.seconds")
        if not partial.is_dir():
            remove(partial)
            remove(clock)
        earlier_s = float(clock.read_text()) if clock.exists() else 0.0
        started = time.perf_counter()
        try:
            build(partial)
        except BaseException:
            if partial.is_dir():
                clock.write_text(str(earlier_s + time.perf_counter() - started))
            else:
                remove(partial)
            raise
        remove(clock)
        if not partial.exists():
            raise RuntimeError(f"the build wrote nothing at {partial}")
        return earlier_s + time.perf_counter() - started

    def _finish(self, name: str, partial: Path, made: dict[str, Any]) -> None:
        files = {"files": _sizes(partial)} if partial.is_dir() else {}
        size = sum(files["files"].values()) if files else partial.stat().st_size
        sidecar = {
            "name": name,
            **made,
            "duration_s": round(made["duration_s"], 3),
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": package_versions(),
            "bytes": size,
            "sha256": checksum(partial),
            **files,
        }
        path = self.folder / name
        remove(self._sidecar_path(name))
        remove(path)
        partial.rename(path)
        write_json(self._sidecar_path(name), sidecar)
        self._remove_partials(name)

    def _remove_partials(self, name: str) -> None:
        pattern = self._partial(name, "*").name
        for stale in (*self.folder.glob(pattern), *self.folder.glob(f"{pattern}.seconds")):
            remove(stale)

    def _partial(self, name: str, digest: str) -> Path:
        path = self.folder / name
        return path.with_name(f"{path.stem}.partial-{digest}{path.suffix}")

    def _sidecar_path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _sidecar(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads(self._sidecar_path(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
            return None

    def _why_missing(self, name: str) -> str:
        return "was not finished" if (self.folder / name).exists() else "is missing"

    def _remedy(self, name: str) -> str:
        chapter = maker_of(name)
        if chapter is None:
            return "no chapter makes it"
        return f"chapter {chapter} makes it: tsg run --profile {self.folder.name} --only {chapter} --force"
