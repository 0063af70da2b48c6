"""The sheet that `tsg show` draws."""

import numpy as np

from tsg_core.pictures.contact_sheet import MARK_COLOUR, contact_sheet
from tsg_core.tilt_series import TiltSeries


def test_angles_are_short_and_predicted_frames_are_marked():
    tilt_deg = np.linspace(-70, 70, 27)[[0, 3, 13, 26]]
    series = TiltSeries(np.ones((4, 8, 8), np.float32), tilt_deg, 0.5, measured=[True, False, True, True])
    titles = [axis.title for axis in contact_sheet(series).subfigs[0].axes if axis.get_title()]
    assert [title.get_text() for title in titles] == ["-70°", "-53.85°, predicted", "0°", "70°"]
    assert [title.get_color() == MARK_COLOUR for title in titles] == [False, True, False, False]
