"""Finds the corpora in the subfolders of a folder, with the adapters of all datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consilience.bench.settings import METHODS, Changes, Corpus, Settings
from consilience.core import registry
from consilience.core.errors import ConsilienceError, unreadable
from consilience.core.isolation import isolated_map
from consilience.datasets.base import LIMIT_S, LISTING_FACTOR, bind_to_root, source_modality
from consilience.schema.params.windows import SplitParams

# Its layout is that of 'folder', which reads the classes from the tables.
NOT_SEARCHED = {"demo"}
LEAST_PEOPLE = 3  # one to test, one to validate, one to train


@dataclass(frozen=True)
class Candidate:
    """Content of a folder as one adapter lists it.

    Attributes
    ----------
    dataset : str
        Name of the adapter.
    error : str
        Why the folder is not such a dataset; empty if it is.
    self_described : bool
        Whether the folder states modalities and classes, which the adapter of one published corpus
        defines.
    modalities : tuple of str
        Those used by default of which the folder has recordings.
    n_people : int
        Number of people with annotations.
    n_problems : int
    splits : SplitParams
        Those of the adapter's preset.
    """

    dataset: str
    error: str = ""
    self_described: bool = False
    modalities: tuple[str, ...] = ()
    n_people: int = 0
    n_problems: int = 0
    splits: SplitParams = field(default_factory=SplitParams)


def search(data: Path) -> Settings:
    """Return the settings of a bench over all corpora in the subfolders of a folder.

    Raises
    ------
    ConsilienceError
        If it is not a directory or no subfolder is a usable corpus.
    """
    if not data.is_dir():
        raise ConsilienceError("not a directory", f"--data {data}", "name that of the corpora")
    folders = sorted(
        entry for entry in data.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    names = [name for name in registry.names("datasets") if name not in NOT_SEARCHED]
    pairs = [(folder, name) for folder in folders for name in names]
    candidates = isolated_map(candidate, pairs, "find corpora", LIMIT_S, _lost, LISTING_FACTOR)
    corpora: dict[str, Corpus] = {}
    left_out: dict[str, str] = {}
    for number, folder in enumerate(folders):
        of_folder = candidates[number * len(names) : (number + 1) * len(names)]
        chosen = choose(folder, of_folder)
        if isinstance(chosen, Corpus):
            corpora[folder.name] = chosen
        else:
            left_out[folder.name] = chosen
    if not corpora:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise ConsilienceError(
            f"no usable corpus in its subfolders: {reasons or 'there are not any'}",
            f"--data {data}",
            "docs/datasets.md lists the layouts",
        )
    return Settings(methods=METHODS, corpora=corpora, left_out=left_out)


def candidate(pair: tuple[Path, str]) -> Candidate:
    """Return how an adapter, given by its name, lists a folder; any failure is an `error`."""
    folder, name = pair
    try:
        adapter = registry.get("datasets", name)
        dataset = bind_to_root(adapter, folder)
        listing = dataset.list(folder)
        listed = {entry.modality for entry in listing.entries}
        usual = dataset.preset.get("modalities") or dataset.modalities
        annotated = set(listing.annotations["session"])
        people = {entry.subject for entry in listing.entries if entry.session in annotated}
        return Candidate(
            name,
            self_described=hasattr(adapter, "at"),
            modalities=tuple(each for each in usual if source_modality(dataset, each) in listed),
            n_people=len(people),
            n_problems=len(listing.problems),
            splits=SplitParams(**dataset.preset.get("splits", {})),
        )
    except ConsilienceError as error:
        return Candidate(name, str(error))
    except Exception as error:  # any failure of an adapter belongs to its folder
        return Candidate(name, unreadable(error))


def _lost(pair: tuple[Path, str], reason: str) -> Candidate:
    return Candidate(pair[1], f"{pair[0]}: cannot be listed: {reason}")


def choose(folder: Path, candidates: Sequence[Candidate]) -> Corpus | str:
    """Return a folder as a corpus of the most specific adapter, or why it is not used.

    Adapters that find annotations take precedence, then those of one published corpus, then those
    with fewer problems.
    """
    listing = [each for each in candidates if not each.error and each.modalities]
    if not listing:
        # The adapter with the folder's name gives the reason that helps, such as packed files.
        named = [each.error for each in candidates if each.dataset == folder.name and each.error]
        return named[0] if named else "not the layout of any dataset"
    best = min(listing, key=lambda each: (not each.n_people, each.self_described, each.n_problems))
    if best.n_people < LEAST_PEOPLE:
        return (
            f"dataset '{best.dataset}': labels of {best.n_people} people; folds by person need "
            f"{LEAST_PEOPLE}"
        )
    return Corpus(
        dataset=best.dataset,
        root=str(folder.absolute()),
        modalities=best.modalities,
        params=_fewer_folds(best.n_people, best.splits),
    )


def _fewer_folds(n_people: int, splits: SplitParams) -> Changes:
    """Return the changes of the splits that few people need."""
    n_tested = -(-n_people // splits.folds)
    if n_people >= max(splits.folds, n_tested + splits.validation_subjects + 1):
        return {}
    folds = max(LEAST_PEOPLE, min(splits.folds, n_people))
    return {"splits": {"folds": folds, "validation_subjects": 1}}
