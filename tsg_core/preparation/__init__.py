"""From a recording to a series that can be reconstructed: corrections of the frames, and their alignment.

Every step takes a `TiltSeries` and keyword settings, and returns a new series, whose history names the step, and a
report whose fields are the numbers and whose text is one sentence; `steps.prepare` does them in a fixed order.
"""
