"""Stage ``ingest``: ``python -m consilience.stages.ingest MODALITY``."""

from __future__ import annotations

from pathlib import Path

from consilience import params, stages
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder
from consilience.ingest.ingest import Result, ingest
from consilience.schema.tables import Recordings, read_table

CATALOG = Path("data/catalog/recordings")
STORE = Path("data/.store")
OUTPUT = Path("data/signals")


def main(modality: str) -> None:
    """Ingest one modality of the catalog."""
    settings = params.load()
    table = read_table(CATALOG / f"{modality}.parquet", Recordings)
    with atomic_folder(OUTPUT / modality) as folder:
        results = ingest(
            table,
            Path(settings.dataset.root),
            modality,
            settings.modalities[modality],
            STORE / modality,
            folder,
        )
        _tell(modality, results)
        bad = [result for result in results if result.status != "ok"]
        if bad and settings.dataset.on_problem == "fail":
            raise ConsilienceError(
                f"{len(bad)} recordings cannot be used",
                f"modality {modality}",
                "mend them, or set dataset.on_problem to quarantine",
            )


def _tell(modality: str, results: list[Result]) -> None:
    new = [result for result in results if result.new]
    bad = [result for result in results if result.status != "ok"]
    print(
        f"ingest {modality}: {len(results)} recordings, {len(new)} processed, "
        f"{len(results) - len(new)} reused, {len(bad)} quarantined"
    )
    for result in new:
        print(f"  processed {result.recording}")
    for result in bad:
        print(f"  quarantined {result.recording}: {result.reason}")


if __name__ == "__main__":
    stages.run(main)
