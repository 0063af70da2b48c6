"""Training a network on tilt series: samples, learning rate, validation and the training loop."""

from .loop import HISTORY_FILE, LOSSES, MODEL_FILE, PRECISIONS, STATE_FILE, TrainingSettings, train

__all__ = ["HISTORY_FILE", "LOSSES", "MODEL_FILE", "PRECISIONS", "STATE_FILE", "TrainingSettings", "train"]
