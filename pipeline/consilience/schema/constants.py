"""Values that tables and parameters share; apart from the tables, whose libraries start slowly.

The code that reads recordings imports them too, and must not depend on a table's columns.
"""

from __future__ import annotations

STATUSES = ["ok", "quarantined", "missing"]
CLOCKS = ["shared", "anchors"]
ALIGNMENT_STATUSES = ["aligned", "coarse", "unaligned"]
ROLES = ["train", "validation", "test"]
AFFECT = ("valence", "arousal")
CLEAN = "clean"  # variant of a recording or a window without corruption
SEVERITIES = (1, 2, 3, 4, 5)  # a corrupted variant is named "<kind>_<severity>"
