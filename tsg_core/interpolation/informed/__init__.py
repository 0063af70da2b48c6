"""The network that is told what an object fitted to all frames predicts."""
