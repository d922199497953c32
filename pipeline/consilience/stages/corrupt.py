"""Stage ``corrupt``: windows of corrupted recordings."""

from __future__ import annotations

from consilience.windows.corrupt import corrupt

stage = corrupt
