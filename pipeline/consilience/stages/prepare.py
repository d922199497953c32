"""Recordings to windows, stage after stage in one go: ``python -m consilience.stages.prepare``.

For the experiments, whose corpora are folders with a ``params.yaml`` each. Ingest keeps what it
has computed, so only what changed is done again.
"""

from __future__ import annotations

from consilience import params, stages
from consilience.stages import align, catalog, ingest, label, window


def main() -> None:
    """Write ``data/windows`` from the recordings that ``params.yaml`` names."""
    catalog.main()
    for name in params.load().modalities:
        ingest.main(name)
    align.main()
    label.main()
    window.main()


if __name__ == "__main__":
    stages.run(main)
