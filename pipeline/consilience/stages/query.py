"""Stage ``query``: windows to annotate again, and doubtful labels."""

from __future__ import annotations

from consilience.query.run import query

stage = query
