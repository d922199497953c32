"""Values that tables and parameters share; apart from the tables, whose libraries start slowly.

The code that reads recordings imports them too, and must not depend on a table's columns.
"""

from __future__ import annotations

STATUSES = ["ok", "quarantined", "missing"]
CLOCKS = ["shared", "anchors"]
ALIGNMENT_STATUSES = ["aligned", "coarse", "unaligned"]
ROLES = ["train", "validation", "test"]
AFFECT = ("valence", "arousal")
SELF_REPORT = "self"  # prefix of the annotators of self-reports
# Classes of datasets with ratings alone, by what is rated: below or above 0, the middle.
# The order is that of `itertools.product` over the targets.
AFFECT_CLASSES = {
    ("valence", "arousal"): ("LVLA", "LVHA", "HVLA", "HVHA"),
    ("valence",): ("low_valence", "high_valence"),
    ("arousal",): ("low_arousal", "high_arousal"),
}
CLEAN = "clean"  # variant of a recording or a window without corruption
SEVERITIES = (1, 2, 3, 4, 5)  # a corrupted variant is named "<kind>_<severity>"
# Deviation, standard deviations, from which a recording differs from those of the training.
DIFFERENT = 3.5
