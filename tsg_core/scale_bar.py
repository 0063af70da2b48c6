"""A scale bar in a picture."""

LENGTHS_A = (5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5)


def draw_scale_bar(axis, shape: tuple[int, ...], pixel_size_A: float, *, colour: str) -> None:
    """A bar of a round length, below half of the width, at the lower left of a picture (..., n_y, n_x)."""
    n_y, n_x = shape[-2:]
    length_A = next((a for a in LENGTHS_A if a / pixel_size_A < 0.45 * n_x), LENGTHS_A[-1])
    text = f"{length_A / 10:g} nm" if length_A >= 100 else f"{length_A:g} Å"
    x, y = 0.06 * n_x, 0.93 * n_y
    axis.plot([x, x + length_A / pixel_size_A], [y, y], color=colour, lw=3, solid_capstyle="butt")
    axis.text(x, y - 0.03 * n_y, text, color=colour, fontsize=8, va="bottom")
