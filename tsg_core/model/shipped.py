"""The networks shipped with the package, trained by `tsg train` and kept in the folder `weights`."""

from functools import lru_cache
from pathlib import Path

from ..errors import TsgError
from .file import load_model
from .network import TSGNet

FOLDER = Path(__file__).parent / "weights"
DEFAULT = "small"
WEIGHTS, HISTORY, VALIDATION, CARD = "model.safetensors", "history.csv", "validation.csv", "README.md"
PUBLISHED_SUFFIXES = (".ckpt", ".pt", ".pth")


def shipped() -> list[str]:
    """Names of the shipped networks."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{WEIGHTS}"))


def shipped_file(name: str, file: str) -> Path:
    """Path of a file of a shipped network: its weights, history.csv, validation.csv or README.md, the model card."""
    if name not in shipped():
        raise TsgError(f"no network {name!r} is shipped; there is {', '.join(shipped()) or 'none'}")
    return FOLDER / name / file


def load_shipped(name: str = DEFAULT) -> TSGNet:
    """A shipped network, read once: every call returns the same object. Raises TsgError for an unknown name."""
    return _load(shipped_file(name, WEIGHTS))


def network(checkpoint: TSGNet | str | Path | None = None) -> TSGNet:
    """The network that `checkpoint` denotes: a network, the name of a shipped one, or a file. None: `load_shipped()`.

    A file was written by `model.file.save_model` or, with the suffix .ckpt, .pt or .pth, by the published code. Raises
    TsgError for anything else, and for a file that is truncated or holds another architecture.
    """
    if checkpoint is None:
        return load_shipped()
    if isinstance(checkpoint, TSGNet):
        return checkpoint
    if str(checkpoint) in shipped():
        return load_shipped(str(checkpoint))
    path = Path(checkpoint)
    if not path.exists():
        raise TsgError(f"checkpoint {path} is neither a file nor a shipped network ({', '.join(shipped()) or 'none'})")
    return TSGNet.from_published(path) if path.suffix in PUBLISHED_SUFFIXES else load_model(path)


_load = lru_cache(load_model)
