"""Results that a benchmark keeps in a file, a line for each, so that the same command goes on after an interruption."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tsg_core.tools.provenance import code_version


class Kept:
    """What was computed by the same code; `of(case, compute)` computes what is not there yet."""

    def __init__(self, path: Path):
        self.path = path
        lines = map(json.loads, path.read_text().splitlines()) if path.is_file() else ()
        self._known = {(line["case"], line["code"]): line["scores"] for line in lines}

    def of(self, case: str, compute: Callable[[], Any], *, modules: Sequence[str]) -> Any:
        """The scores of a case: anything that JSON can hold. `modules` are those whose code made them."""
        code = _code(tuple(modules))
        if (case, code) not in self._known:
            self._known[case, code] = compute()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps({"case": case, "code": code, "scores": self._known[case, code]}) + "\n")
        return self._known[case, code]


@functools.cache
def _code(modules: tuple[str, ...]) -> str:
    return code_version(modules)
