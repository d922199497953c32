"""Stage ``train``: one method."""

from __future__ import annotations

from consilience.training.run import train

stage = train
