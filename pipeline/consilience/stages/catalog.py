"""Stage ``catalog``: ``python -m consilience.stages.catalog``."""

from __future__ import annotations

from pathlib import Path

from consilience import params, stages
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, write_json
from consilience.ingest.catalog import Catalog, build_catalog
from consilience.schema.tables import Annotations, Problems, Pulses, Recordings, Trials, write_table

OUTPUT = Path("data/catalog")


def main() -> None:
    """Catalog the dataset that the parameters name."""
    settings = params.load()
    dataset = registry.get("datasets", settings.dataset.name)
    catalog = build_catalog(dataset, Path(settings.dataset.root), settings.modalities)
    _tell(catalog)
    if settings.dataset.on_problem == "fail" and catalog.problems.height:
        raise ConsilienceError(
            f"{catalog.problems.height} problems, listed above",
            settings.dataset.root,
            "mend them, or set dataset.on_problem to quarantine",
        )
    with atomic_folder(OUTPUT) as folder:
        for modality, table in catalog.recordings.items():
            write_table(folder / "recordings" / f"{modality}.parquet", table, Recordings)
        write_table(folder / "trials.parquet", catalog.trials, Trials)
        write_table(folder / "pulses.parquet", catalog.pulses, Pulses)
        write_table(folder / "annotations.parquet", catalog.annotations, Annotations)
        write_table(folder / "problems.parquet", catalog.problems, Problems)
        described = {"name": catalog.dataset, "classes": catalog.classes}
        write_json(folder / "dataset.json", described)
        write_json(folder / "summary.json", catalog.summary())


def _tell(catalog: Catalog) -> None:
    for modality, counts in catalog.summary()["modalities"].items():
        print(
            f"catalog {modality}: {counts['ok']} usable, {counts['quarantined']} quarantined, "
            f"{counts['missing']} missing, {counts['hours']:.2f} h"
        )
    for where, what, remedy in catalog.problems.rows():
        print(f"  {where}: {what}" + (f" ({remedy})" if remedy else ""))


if __name__ == "__main__":
    stages.run(main)
