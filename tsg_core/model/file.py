"""A network in a file: weights as safetensors, with the architecture and notes on the training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from ..errors import TsgError
from ..tools.files import existing, readable, replaced_when_whole
from .network import TSGNet


def save_model(model: TSGNet, path: str | Path, *, notes: Mapping[str, Any] | None = None, half: bool = False) -> Path:
    """Write weights and architecture as one safetensors file, whole or not at all.

    The file's metadata hold `notes` (data, steps, version, ...) beside the architecture. `half` rounds the weights to
    16 bits, which halves the size.
    """
    path = Path(path)
    metadata = {"architecture": json.dumps({"name": "TSGNet", **model.architecture}), "notes": json.dumps(notes or {})}
    kept = torch.float16 if half else torch.float32
    weights = {name: value.detach().to("cpu", kept).contiguous() for name, value in model.state_dict().items()}
    with replaced_when_whole(path, overwrite=True) as (partial,):
        partial.write_bytes(_in_order(save(weights, metadata=metadata)))
    return path


def _in_order(content: bytes) -> bytes:
    """The file with its metadata sorted: safetensors writes them in another order every time."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + content[end:]


def load_model(path: str | Path) -> TSGNet:
    """Read a model that `save_model` wrote, as float32. Raises TsgError for a missing, truncated or foreign file."""
    path = existing(path)
    with readable(path), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    try:
        architecture = json.loads(metadata["architecture"])
        if architecture.pop("name") != "TSGNet":
            raise KeyError("name")
        model = TSGNet.of_weights(weights, **architecture)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, TsgError) as error:
        cause = f": {error}" if isinstance(error, TsgError) else ""
        raise TsgError(
            f"checkpoint {path} is of another architecture than TSGNet or lacks its description{cause}"
        ) from error
    return model.eval()


def model_metadata(path: str | Path) -> dict[str, Any]:
    """The `architecture` and `notes` that `save_model` stored. Raises TsgError for a missing or truncated file."""
    path = existing(path)
    with readable(path), safe_open(path, framework="pt") as file:
        return {key: json.loads(text) for key, text in (file.metadata() or {}).items()}
