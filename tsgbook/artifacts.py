"""The results that chapters hand on: one folder for each profile; artifacts are whole or absent, with provenance.

Beside an artifact `NAME` lies `NAME.json`, written last: function, parameters, digests of the inputs, code and package
versions, duration, date, size and checksum. This sidecar decides whether an artifact is current and whole.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tsg_core.errors import TsgError
from tsg_core.tools.digests import checksum, digest_of, disk_errors, read_json, remove, sizes, write_json
from tsg_core.tools.provenance import package_versions, remember_sources

from .chapters import maker_of
from .contents import outside_file, recipe_of
from .profiles import find_root

_NEEDED = {"bytes", "sha256", "duration_s", "made"}  # of a sidecar, without which it is damaged


class Artifacts:
    """The artifacts in a folder named after its profile; the first `make` creates the folder if it is missing.

    A relative folder lies in the repository, wherever the notebook runs. Raises TsgError for one that leads out of it.
    """

    def __init__(self, folder: str | Path):
        root = Path(folder).anchor or find_root()
        self.folder = Path(os.path.normpath(Path(root, folder)))
        if not self.folder.is_relative_to(root):
            raise TsgError(f"artifacts={str(folder)!r} leads out of the repository; give it from its root, or in full")
        self._verified: set[tuple[str, str]] = set()  # names and checksums of folders that were read through
        remember_sources()

    def make(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        parameters: Mapping[str, Any] | None = None,
        inputs: Iterable[str | Path] = (),
    ) -> Path:
        """The path of an artifact, made by `function(path, **parameters)` unless the existing one is current.

        The function writes a file or a folder at a path that is the same after an interruption and has the suffix of
        `name`. A folder left by an interrupted call is still there, so that the function can resume from it; a file is
        not. The function starts with the global random number generators in fixed states; they are restored afterwards.

        The artifact is current if everything in `recipe_of` is unchanged: the function's source and what it reads, the
        parameters (numbers, text, lists, arrays, dataclasses, atoms and functions by their contents; a path or a data
        set by what lies there), and the project's modules that it uses; and also the contents of `inputs`, names of
        artifacts or paths of files and folders that it opens itself.

        Raises TsgError for a missing or truncated input, a value that its contents do not identify, a full disk, and a
        folder that cannot be written.
        """
        recipe = recipe_of(function, parameters or {})
        recipe["inputs"] = [self._input(str(other)) for other in inputs if str(other)]
        if self._current(name, recipe):
            return self.folder / name
        partial = self._partial(name, digest_of(recipe))
        with disk_errors(f"writing {name} in {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            duration_s = self._build(partial, function, parameters or {})
            self._finish(name, partial, recipe | {"duration_s": round(duration_s, 3)})
        return self.folder / name

    def path(self, name: str) -> Path:
        """The path of an artifact; raises TsgError, with the command that makes it, if it is missing or not whole."""
        self.whole(name)
        return self.folder / name

    def provenance(self, name: str) -> dict[str, Any]:
        """The sidecar: parameters, inputs, code, versions, duration_s, made (date), bytes, sha256."""
        sidecar = read_json(self._sidecar(name))
        if not isinstance(sidecar, dict) or not sidecar.keys() >= _NEEDED:
            why = "was not finished" if (self.folder / name).exists() else "is missing"
            raise TsgError(f"{self.folder / name} {why}; {self._remedy(name)}")
        return sidecar

    def whole(self, name: str) -> dict[str, Any]:
        """The sidecar of an artifact that is as it was written; else TsgError.

        The contents of a file are read every time. Those of a folder, which may be large, are read once by each
        process that uses it; afterwards only the sizes of its files are compared.
        """
        sidecar, path = self.provenance(name), self.folder / name
        found = sizes(path)
        for inner, size in sidecar.get("files", {".": sidecar["bytes"]}).items():
            if found.get(inner) != size:
                state = f"{found[inner]} bytes long instead of {size} bytes" if inner in found else "missing"
                raise TsgError(f"{Path(f'{path}/{inner}')} is {state}; {self._remedy(name)}")
        state = name, sidecar["sha256"]
        if path.is_file() or state not in self._verified:
            if checksum(path) != sidecar["sha256"]:
                raise TsgError(f"{path} is not what was written (its checksum differs); {self._remedy(name)}")
            self._verified.add(state)
        return sidecar

    def names(self) -> list[str]:
        """Names of the finished artifacts, sorted."""
        names = (path.name.removesuffix(".json") for path in self.folder.glob("*.json"))
        return sorted(name for name in names if (self.folder / name).exists())

    def forget(self, name: str) -> None:
        """Make the next `make` build an artifact from scratch, whatever is there."""
        remove(self._sidecar(name))
        self._remove_partials(name)

    def _input(self, name: str) -> dict[str, str]:
        if maker_of(name) or self._sidecar(name).exists():
            return {"artifact": name, "sha256": self.whole(name)["sha256"]}
        return outside_file(name, "an input")

    def _current(self, name: str, recipe: dict[str, Any]) -> bool:
        try:
            sidecar = self.whole(name)
        except TsgError:
            return False
        return all(digest_of(sidecar.get(key)) == digest_of(value) for key, value in recipe.items())

    def _build(self, partial: Path, function: Callable[..., Any], parameters: Mapping[str, Any]) -> float:
        clock = partial.with_name(f"{partial.name}.seconds")
        if not partial.is_dir():
            remove(partial)
            remove(clock)
        started = time.perf_counter() - (read_json(clock) or 0.0)
        try:
            with _fixed_random_numbers():
                function(partial, **parameters)
        except BaseException:
            if partial.is_dir():
                write_json(clock, time.perf_counter() - started)
            else:
                remove(partial)
            raise
        if not partial.exists():
            raise TsgError(f"{function.__qualname__} wrote nothing at the path that it was given")
        return time.perf_counter() - started

    def _finish(self, name: str, partial: Path, made: dict[str, Any]) -> None:
        files = sizes(partial)
        sidecar = {
            "name": name,
            **made,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": package_versions(),
            "bytes": sum(files.values()),
            "sha256": checksum(partial),
            "files": files,
        }
        remove(self._sidecar(name))
        remove(self.folder / name)
        partial.rename(self.folder / name)
        write_json(self._sidecar(name), sidecar)
        self._verified.add((name, sidecar["sha256"]))
        self._remove_partials(name)

    def _remove_partials(self, name: str) -> None:
        pattern = self._partial(name, "*").name
        for stale in (*self.folder.glob(pattern), *self.folder.glob(f"{pattern}.seconds")):
            remove(stale)

    def _partial(self, name: str, digest: str) -> Path:
        path = self.folder / name
        return path.with_name(f"{path.stem}.partial-{digest}{path.suffix}")

    def _sidecar(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _remedy(self, name: str) -> str:
        chapter = maker_of(name)
        if chapter is None:
            return "no chapter makes it"
        return f"chapter {chapter} makes it: tsg run --profile {self.folder.name} --only {chapter} --force"


@contextmanager
def _fixed_random_numbers() -> Iterator[None]:
    """Global random number generators in the same state whatever was drawn before; restored afterwards.

    Earlier draws are in no recipe, so a result must not depend on them.
    """
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    if torch:
        torch.manual_seed(0)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(states[2])
