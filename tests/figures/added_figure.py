"""A plugin of pytest that adds a headline figure to the table before anything else is imported: as if its row stood
there.
"""

from __future__ import annotations

import math

from monitor.figures.headline import FIGURES, Glance, HeadlineFigure, Reading, Series

ADDED = HeadlineFigure(
    "windows_per_sample",
    "windows per sample",
    Series("edge_impulse_windows_per_sample", "Windows of the result set by its samples."),
    (lambda of: [Reading(of.windows / of.samples)] if of.samples else [],),
    unit="windows",
    lowest=1.0,
    highest=math.inf,
    glance=Glance.PAGE | Glance.LOG | Glance.DASHBOARD,
)

FIGURES[ADDED.name] = ADDED
