"""Stage ``label``: windows with soft labels."""

from __future__ import annotations

from consilience.annotation.label import label

stage = label
