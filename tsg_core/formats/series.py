"""Tilt series from and to files; the suffix names the format."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import TsgError
from ..tilt_series import TiltSeries
from ..tools.files import existing, replaced_when_whole
from . import hdf5, mrc, own, rosetta, tiff, tomviz
from .choice import choose_stack
from .folder import read_folder, read_frames_of_mdoc
from .stack import Stack
from .stored import StoredSeries, naming, stored_series

_READERS = {
    ".npz": own.read_npz,
    ".zarr": own.read_zarr,
    ".npy": own.read_npy,
    **dict.fromkeys(mrc.SUFFIXES, mrc.read_mrc),
    **dict.fromkeys(tiff.SUFFIXES, tiff.read_tiff),
    **dict.fromkeys(rosetta.SUFFIXES, rosetta.read_rosetta),
    **dict.fromkeys(hdf5.SUFFIXES, hdf5.read_hdf5),
    ".mdoc": read_frames_of_mdoc,
}
_WRITERS = {
    ".npz": own.write_npz,
    ".zarr": own.write_zarr,
    **dict.fromkeys(mrc.SUFFIXES, mrc.write_mrc),
    **dict.fromkeys(tiff.SUFFIXES, tiff.write_tiff),
    ".hspy": rosetta.write_hspy,
    ".zspy": rosetta.write_zspy,
    ".emd": tomviz.write_series_emd,
}
_WITH_ANGLES_BESIDE = mrc.SUFFIXES + tiff.SUFFIXES
_MAY_NEED_THEM = (*_WITH_ANGLES_BESIDE, ".npy", ".dm3", ".dm4", *hdf5.SUFFIXES)


def open_series(
    path: str | Path,
    *,
    tilts: str | Path | Sequence[float] | None = None,
    pixel_size_A: float | None = None,
    exclude: Sequence[int] = (),
    image: int | str | None = None,
) -> StoredSeries:
    """A tilt series whose frames stay in the file until `load` reads them, all or some, binned or not.

    `path` is a file, a folder of single frames, a pattern of such (`folder/*.dm4`), or `FILE::DATASET` where a file
    holds several. `tilts` (a text file of angles in degrees, or the angles) and `pixel_size_A` take precedence over
    what the file says. `exclude` names frames by their number in the file, from 0: a second exposure at one angle,
    say. `image` chooses where a file, or each file of a folder, holds several pictures: a number of the list that the
    error gives, or a name. Frames are sorted by angle; what was done is told in the history. Raises TsgError for a
    missing, truncated or foreign file, an unknown suffix, angles that are nowhere to be found, not certain, repeat, are
    radians or do not match the frame count, and a pixel size that is nowhere stated or in an unknown unit.
    """
    path, dataset = _parts(path)
    with naming(path):
        stack = _read_stack(path, _one_choice(dataset, image))
    return stored_series(stack, path, tilts=tilts, pixel_size_A=pixel_size_A, exclude=exclude)


def read_series(
    path: str | Path,
    *,
    tilts: str | Path | Sequence[float] | None = None,
    pixel_size_A: float | None = None,
    exclude: Sequence[int] = (),
    image: int | str | None = None,
) -> TiltSeries:
    """The tilt series in a file, as float32; arguments and errors are those of `open_series`.

    Integers up to 2^24 keep their values. Frames that are constant or saturated are named in the history.
    """
    return open_series(path, tilts=tilts, pixel_size_A=pixel_size_A, exclude=exclude, image=image).load()


def write_series(series: TiltSeries, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a series whole or not at all, in the format that the suffix names.

    All but MRC keep everything (metadata as JSON, so tuples but the history return as lists). MRC and TIFF get the
    angles in a .rawtlt beside them; MRC also gets a .mdoc with flags and history. Raises TsgError if a file exists
    (unless `overwrite`), the folder does not, the disk is full, or the format can only be read.
    """
    path = Path(path)
    check_writable(path)
    suffix = path.suffix.lower()
    write = _WRITERS[suffix]
    beside = []
    if suffix in _WITH_ANGLES_BESIDE:
        beside.append(path.with_suffix(".rawtlt"))
    if suffix in mrc.SUFFIXES:
        beside.append(path.with_name(path.name + ".mdoc"))
    # the stack last: once it stands, its angles do too
    with replaced_when_whole(*beside, path, overwrite=overwrite) as (*texts, partial):
        if texts:
            texts[0].write_text("".join(f"{angle!r}\n" for angle in series.tilt_deg.tolist()))
        if len(texts) > 1:
            mrc.write_mdoc(series, texts[1], stack=path)
        write(series, partial)
    return path


def check_writable(path: Path) -> None:
    """Raise TsgError if `write_series` cannot write the format that the suffix names, or would harm another stack."""
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        if suffix in _READERS or path.is_dir():
            raise TsgError(f"{path}: the format {suffix or 'of folders'} can only be read; write .mrc or .hspy instead")
        raise _unknown_suffix(path, _WRITERS)
    angles = path.with_suffix(".rawtlt")
    if suffix in _WITH_ANGLES_BESIDE and angles.exists():
        for other in path.parent.iterdir():  # overwriting the angles would leave that one with wrong ones
            if other.stem == path.stem and other.suffix.lower() in _MAY_NEED_THEM and other.name != path.name:
                raise TsgError(f"{angles} holds the angles of {other.name}, too; choose another name than {path.name}")


def _parts(path: str | Path) -> tuple[Path, str | None]:
    """The path and the dataset that was chosen of it."""
    name, _, dataset = str(path).partition("::")
    path = Path(name)
    path = path if path.name not in ("", "..") else path.resolve()  # the folder one stands in has a name, too
    return (path if "*" in path.name else existing(path)), dataset or None


def _one_choice(dataset: str | None, image: int | str | None) -> str | None:
    if dataset is not None and image is not None and dataset != str(image):
        raise TsgError(f"::{dataset} and --image {image} choose two pictures; give one of them")
    return dataset if image is None else str(image)


def _read_stack(path: Path, image: str | None) -> Stack:
    suffix = path.suffix.lower()
    if "*" in path.name or (path.is_dir() and suffix not in (".zarr", ".zspy")):
        return read_folder(path, image=image)
    if suffix not in _READERS:
        raise _unknown_suffix(path, _READERS)
    if suffix in rosetta.SUFFIXES:
        return rosetta.read_rosetta(path, dataset=image)
    if suffix in tiff.SUFFIXES:
        return tiff.read_tiff(path, image=image)
    if suffix in hdf5.SUFFIXES:
        return hdf5.read_hdf5(path, image=image)
    return choose_stack(_READERS[suffix](path), path, image)


def _unknown_suffix(path: Path, known) -> TsgError:
    return TsgError(f"{path} has the suffix {path.suffix!r}; those known are {', '.join(known)}")
