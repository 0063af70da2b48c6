"""A tilt series described in words, and what calls for care before it is used."""

import numpy as np

from ..tilt_series import TiltSeries
from ..vacuum import is_bright_field, offset_of, vacuum_of
from .common_lines import change_of_sums

SOURCES = {"angles": "tilt angles", "pixel_size": "pixel size", "intensity": "intensity", "axis": "tilt axis"}
UNEQUAL = 1.3  # factor between the total intensity of a frame and that of its neighbours
WIDE_GAP = 1.9  # times the median step
SHORT_RANGE_deg = 100.0
LIKE_AXIS = 0.7  # if sums over y change less than this, relative to sums over x, the axis seems to lie along x
NEAR_BORDER = 0.15  # brightness of the left and right borders, between background and brightest column

BRIGHT_FIELD = (
    "the object is darker than what is about it, as in bright field, where HAADF is bright: turn the contrast "
    "(tsg prepare IN --invert) before anything is fitted"
)


def facts(series: TiltSeries) -> dict[str, str]:
    """The properties of a series, as names and texts with units."""
    n_y, n_x = series.frames.shape[1:]
    steps = np.diff(series.tilt_deg)
    width_A, height_A = n_x * series.pixel_size_A, n_y * series.pixel_size_A
    regular = len(steps) and np.ptp(steps) < 1e-3
    spacing = f", steps of {steps.min():.4g}{'' if regular else f' to {steps.max():.4g}'} deg" if len(steps) else ""
    low, high, mean = series.frames.min(), series.frames.max(), series.frames.mean(dtype=float)
    found = {
        "frames": f"{len(series)} of {n_x} x {n_y} px (x, y)",
        "pixel size": f"{series.pixel_size_A:.4g} A, so that a frame shows {width_A:.4g} x {height_A:.4g} A",
        "tilt angles": f"{series.tilt_deg[0]:g} to {series.tilt_deg[-1]:g} deg{spacing}",
        "intensity": f"{low:.4g} to {high:.4g}, mean {mean:.4g}",
    }
    if dtype := series.metadata.get("source_dtype"):
        found["intensity"] += f", stored as {dtype}"
    vacuum = vacuum_of(series.frames)
    found["vacuum"] = f"{vacuum}; the brightest pixels stand {vacuum.contrast:.4g} above it"
    if offset_of(series) is not None:
        found["vacuum"] += "; this offset is subtracted before anything is fitted"
    if not series.measured.all():
        found["predicted"] = f"{(~series.measured).sum()} of the frames; {series.measured.sum()} were measured"
    return found


def sources(series: TiltSeries) -> dict[str, str]:
    """The properties of a series and where each came from, as noted when the series was read."""
    told = series.metadata.get("sources", {})
    return {f"{name} from": told.get(key, "the series itself, which states no source") for key, name in SOURCES.items()}


def warnings_of(series: TiltSeries, *, direction: bool = True) -> list[str]:
    """Sentences, each with a cause or a remedy; empty if nothing is wrong.

    The history written by reading names frames that are constant or saturated in the file's own numbers. `direction`
    also checks whether the tilt axis seems to lie along x.
    """
    if is_bright_field(series.frames):
        return [BRIGHT_FIELD, *_unequal(series), *_angles(series)]
    return [*_unequal(series), *_angles(series), *(_direction(series) if direction else []), *_cut_off(series)]


def totals(series: TiltSeries) -> np.ndarray:
    """Mean intensity (n_tilt,) of each frame."""
    return np.array([frame.mean(dtype=np.float64) for frame in series.frames])


def centres_of_mass_px(series: TiltSeries) -> np.ndarray:
    """Column (n_tilt,) of each frame's centre of mass, relative to its middle; the darkest column counts as zero."""
    profiles = np.array([frame.mean(axis=0, dtype=np.float64) for frame in series.frames])
    profiles -= profiles.min(axis=1, keepdims=True)
    column = np.arange(profiles.shape[1]) - (profiles.shape[1] - 1) / 2
    mass = profiles.sum(axis=1)
    return np.divide(profiles @ column, mass, out=np.zeros(len(series)), where=mass > 0)


def _unequal(series: TiltSeries) -> list[str]:
    if len(series) < 5:
        return []
    light = totals(series)
    around = np.array([np.median(np.delete(light[max(i - 2, 0) : i + 3], min(i, 2))) for i in range(len(light))])
    ratio = np.divide(light, around, out=np.ones_like(light), where=around > 0)
    unlike = np.flatnonzero((ratio > UNEQUAL) | (ratio < 1 / UNEQUAL))
    if not len(unlike):
        return []
    worst = unlike[np.argmax(np.abs(np.log(ratio[unlike].clip(1e-6))))]
    return [
        f"{_named(series, unlike)} much brighter or darker than the neighbours, the worst {ratio[worst]:.2f} times "
        f"({series.tilt_deg[worst]:g} deg): a change of the beam, a grid bar, or an angle of another frame"
    ]


def _angles(series: TiltSeries) -> list[str]:
    steps, found = np.diff(series.tilt_deg), []
    wide = np.flatnonzero(steps > WIDE_GAP * np.median(steps)) if len(steps) > 2 else []
    if len(wide):
        i = wide[np.argmax(steps[wide])]
        found.append(
            f"{len(wide)} gap(s) between angles are much wider than the others, the widest from {series.tilt_deg[i]:g} "
            f"to {series.tilt_deg[i + 1]:g} deg: predictions there are the least certain"
        )
    span = series.tilt_deg[-1] - series.tilt_deg[0]
    if span < SHORT_RANGE_deg:
        found.append(
            f"the angles span {span:.4g} deg: what lies beyond stays unknown (the missing wedge), and volumes are "
            "drawn out along the beam"
        )
    return found


def _direction(series: TiltSeries) -> list[str]:
    if len(series) < 5:
        return []
    over_y, over_x = (change_of_sums(series.frames, axis=axis) for axis in (1, 2))
    if not over_y < LIKE_AXIS * over_x < np.inf:
        return []
    return [
        "the sums of the columns change less from tilt to tilt than those of the rows, as if the tilt axis lay along "
        "x; if it does, turn the frames by 90 degrees (tsg prepare IN --rotate)"
    ]


def _cut_off(series: TiltSeries) -> list[str]:
    profiles = np.array([frame.mean(axis=0, dtype=np.float64) for frame in series.frames])
    dark, bright = profiles.min(axis=1), profiles.max(axis=1)
    border = np.maximum(profiles[:, 0], profiles[:, -1]) - dark
    reaching = np.flatnonzero(border > NEAR_BORDER * (bright - dark))
    if not len(reaching):
        return []
    return [
        f"{_named(series, reaching)} not dark at the left or right border: something is seen in them that others may "
        "not hold; crop, subtract the background, or expect streaks at the edges of the volume"
    ]


def _named(series: TiltSeries, indices) -> str:
    """ "frame 3 (12 deg) is", "5 frames (the first 3, 12 deg) are"."""
    first = f"{indices[0]}, {series.tilt_deg[indices[0]]:g} deg"
    return f"frame {first}, is" if len(indices) == 1 else f"{len(indices)} frames, the first {first}, are"
