"""Stage ``window``: model inputs of every window."""

from __future__ import annotations

from consilience.windows.build import window

stage = window
