"""From a recording to a series that can be reconstructed: corrections of the frames, and their alignment.

Every step takes a `TiltSeries` and keyword settings. It returns a new series, whose history names the step, and a
report, whose fields are numbers and whose text is one sentence. `steps.prepare` runs the steps in a fixed order.
"""
