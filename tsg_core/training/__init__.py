"""Training a network on tilt series: samples, schedule, validation and the loop."""

from .loop import HISTORY_FILE, LOSSES, MODEL_FILE, PRECISIONS, STATE_FILE, TrainingSettings, train

__all__ = ["HISTORY_FILE", "LOSSES", "MODEL_FILE", "PRECISIONS", "STATE_FILE", "TrainingSettings", "train"]
