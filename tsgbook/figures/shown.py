"""Showing the figures of a chapter: picture, caption, and words for readers who do not see the picture.

Jupyter shows the picture with its caption below. The output also carries a note in its metadata, from which
`tsgbook.pages` makes a numbered figure of the book.
"""

import base64
import io
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from PIL import Image

NOTE = "tsg"  # the key of the note in an output's metadata
SLIDER = "application/vnd.tsg.slider+json"
PLOTLY = "application/vnd.plotly.v1+json"
JPEG_QUALITY = 92

_SLIDER_HTML = """<div style="max-width:720px"><div style="display:flex;text-align:center">{heads}</div>
<div style="overflow:hidden;aspect-ratio:{width}/{height}">
<img src="{sheet}" alt="{alt}" style="width:100%;image-rendering:pixelated;transform:translateY(-{offset}%)"></div>
<label><input type="range" min="0" max="{last}" value="{start}" style="width:100%" data-labels="{labels}" oninput="
const all = this.closest('label').parentElement;
all.querySelector('img').style.transform = `translateY(-${{100 * this.value / {count}}}%)`;
all.querySelector('output').value = this.dataset.labels.split('|')[this.value];">
<output>{label}</output></label></div>"""


def show(figure: Figure, caption: str, *, alt: str) -> None:
    """Show a Matplotlib figure with its caption (Markdown); `alt` says in words what the picture shows."""
    _display({"image/png": _png(figure)}, caption, alt=alt)


def show_interactive(figure: go.Figure, caption: str, *, alt: str, still: Figure) -> None:
    """Show a plotly figure with its caption; `still` stands for it on paper, and until it is drawn."""
    figure.update_layout(title=None, margin={"l": 0, "r": 0, "t": 36, "b": 0})
    _display({PLOTLY: figure.to_plotly_json(), "image/png": _png(still)}, caption, alt=alt)


def show_slider(
    pictures: Sequence[np.ndarray],
    labels: Sequence[str],
    caption: str,
    *,
    alt: str,
    start: int,
    names: Sequence[str],
    still: Figure,
) -> None:
    """Show grey pictures (n_y, n_x) of 8 bits, one at a time, with a slider that begins at `start`.

    A picture consists of parts of equal width with these `names`; `still` stands for it on paper.
    """
    height, width = pictures[0].shape
    sheet = f"data:image/jpeg;base64,{_jpeg(np.vstack(pictures))}"
    slider = {"sheet": sheet, "labels": list(labels), "names": list(names), "start": start}
    slider |= {"width": width, "height": height}
    html = _SLIDER_HTML.format(
        **{**slider, "labels": "|".join(labels)},
        label=labels[start],
        heads="".join(f'<span style="flex:1">{name}</span>' for name in names),
        alt=alt,
        last=len(labels) - 1,
        count=len(labels),
        offset=100 * start / len(labels),
    )
    _display({SLIDER: slider, "text/html": html, "image/png": _png(still)}, caption, alt=alt)


def say(text: str) -> None:
    """Show a sentence as prose; its numbers come from the run."""
    display(Markdown(text))


def begin_tab(title: str, *, key: str) -> None:
    """What the cell shows from here on stands in a tab of the page; tabs with equal keys open together."""
    display(Markdown(f"**{title}**"), metadata={NOTE: {"tab": title, "key": key}})


def _display(bundle: dict, caption: str, *, alt: str) -> None:
    note = {"caption": caption, "alt": " ".join(alt.split())}
    display({**bundle, "text/plain": caption}, metadata={NOTE: note}, raw=True)
    display(Markdown(caption), metadata={NOTE: {"repeated": True}})


def png_of(figure: Figure, *, dpi: float | None = None, tight: bool = True) -> bytes:
    """The figure as a PNG of 256 colours, less than half of what a page would load otherwise; closes it."""
    drawn, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi or figure.dpi, bbox_inches="tight" if tight else None)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(reduced, format="PNG", optimize=True)
    return reduced.getvalue()


def _png(figure: Figure) -> str:
    return base64.b64encode(png_of(figure)).decode()


def _jpeg(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
