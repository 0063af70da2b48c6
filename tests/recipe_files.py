"""The file of a tiny recipe, for the tests of recipes and of shipping."""

import yaml

CONTENT = {
    "description": "A tiny network.",
    "network": {"channels": [4, 6, 8, 10], "linear_start": True},
    "data": {
        "n_training": 3,
        "n_validation": 2,
        "n_pixels": 16,
        "pixel_sizes_A": [0.6, 0.7],
        "relative_diameter": [0.5, 0.9],
        "tilt_step_deg": 10.0,
        "seed": 3,
    },
    "settings": {"n_steps": 4, "batch_size": 2, "crop_px": 16, "max_rate": 2, "loss": "gain", "dose_per_A2": [10, 20]},
}


def written(path, **changes):
    path.write_text(yaml.safe_dump({**CONTENT, **changes}))
    return path
