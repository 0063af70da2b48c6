"""The network whose input includes what an object fitted to all frames predicts."""
