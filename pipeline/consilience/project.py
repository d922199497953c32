"""A project folder: where each file lies, and the parameters in its ``params.yaml``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from consilience.core.errors import ConsilienceError

if TYPE_CHECKING:
    from consilience.schema.params.base import Section

AnySection = TypeVar("AnySection", bound="Section")


class Project:
    """A folder with ``params.yaml`` and ``data/``.

    Only this class defines paths. Every stage is a function of a project; none depends on the
    working directory, so that several projects can run in one process.

    Parameters
    ----------
    root : Path or str
        The project's folder.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r})"

    @property
    def params_file(self) -> Path:
        """The parameters."""
        return self.root / "params.yaml"

    @cached_property
    def content(self) -> dict[str, Any]:
        """``params.yaml`` as nested dicts, unchecked; read once.

        Raises
        ------
        ConsilienceError
            If the file is missing, not YAML or not a mapping.
        """
        from consilience.schema.params.base import read_yaml  # slow to import

        content = read_yaml(self.params_file)
        if not isinstance(content, dict):
            raise ConsilienceError(
                "not a mapping of sections", str(self.params_file), "run 'consilience use demo'"
            )
        return content

    def section(self, kind: type[AnySection]) -> AnySection:
        """Read and check one section of the parameters.

        A stage names the sections it reads, so that a change of any other leaves its code
        fingerprint as it is.

        Parameters
        ----------
        kind : type of Section
            Such as `AlignmentParams`.

        Raises
        ------
        ConsilienceError
            If the section is missing or invalid.
        """
        from consilience.schema.params.base import read_section  # slow to import

        return read_section(self.content, kind, str(self.params_file))

    @property
    def dataset_root(self) -> Path:
        """Folder of the dataset's recordings.

        Raises
        ------
        ConsilienceError
            If it contains the results, which DVC then would take for recordings, or lies among
            them, where DVC removes it.
        """
        from consilience.schema.params.dataset import DatasetParams  # slow to import

        setting = self.section(DatasetParams).root
        root, data = (self.root / setting).resolve(), self.data.resolve()
        outside = not root.is_relative_to(data) or root.is_relative_to(data / "raw")
        if data.is_relative_to(root) or not outside or root == data / "raw":
            raise ConsilienceError(
                f"dataset.root '{setting}' contains the results in data/, or lies among them",
                str(self.params_file),
                "move the recordings to a folder in data/raw, or out of data/",
            )
        return self.root / setting

    @property
    def data(self) -> Path:
        """Raw recordings and everything derived from them."""
        return self.root / "data"

    def raw(self, corpus: str) -> Path:
        """Return the folder of a synthetic corpus."""
        return self.data / "raw" / corpus

    def truth(self, corpus: str) -> Path:
        """Return the folder of a synthetic corpus's ground truth."""
        return self.data / "truth" / corpus

    @property
    def code(self) -> Path:
        """Code fingerprints, one file per stage."""
        return self.data / "code"

    @property
    def settings_file(self) -> Path:
        """Version, seeds and unusual parameters, for the report."""
        return self.code / "settings.json"

    @property
    def catalog(self) -> Path:
        """Tables of the dataset's recordings, trials, pulses, annotations and problems."""
        return self.data / "catalog"

    def recordings_table(self, modality: str) -> Path:
        """Return the path of one modality's catalog."""
        return self.catalog / "recordings" / f"{modality}.parquet"

    def signals(self, modality: str) -> Path:
        """Return the folder of one modality's feature frames."""
        return self.data / "signals" / f"{modality}.frames"

    def store(self, name: str) -> Path:
        """Return a folder of results by key, kept between runs: a modality's, or a stage's."""
        return self.data / ".store" / name

    def kept_rows(self, modality: str) -> Path:
        """Return the file of one modality's catalog rows, kept between runs."""
        return self.store("catalog") / f"{modality}.json"

    @property
    def alignment(self) -> Path:
        """Clocks of the recordings."""
        return self.data / "alignment"

    @property
    def annotations(self) -> Path:
        """Tables of annotations that were collected for the study, beside the dataset's own."""
        return self.data / "annotations"

    @property
    def labels(self) -> Path:
        """Labelled windows on the session clocks."""
        return self.data / "labels"

    @property
    def windows(self) -> Path:
        """Arrays of windows; see `consilience.windows.store`."""
        return self.data / "windows"

    @property
    def corrupted(self) -> Path:
        """Corrupted windows by modality; see `consilience.windows.store`."""
        return self.data / "corrupted"

    def model(self, method: str) -> Path:
        """Return the folder of one method's trained model."""
        return self.data / "models" / method

    def checkpoints(self, method: str) -> Path:
        """Return the folder of one method's interrupted training."""
        return self.data / "checkpoints" / method

    @property
    def evaluation(self) -> Path:
        """Metrics, scores and plots of every method."""
        return self.data / "evaluation"

    @property
    def query(self) -> Path:
        """Windows ranked for re-annotation, and doubtful labels."""
        return self.data / "query"

    @property
    def ranking(self) -> Path:
        """Table `Ranking` of the windows to annotate again."""
        return self.query / "ranking.parquet"

    @property
    def doubtful_labels(self) -> Path:
        """Table `DoubtfulLabels`."""
        return self.query / "doubtful.parquet"

    @property
    def gate(self) -> Path:
        """The last comparison of a trained model with the accepted one."""
        return self.data / "gate.json"

    @property
    def registry(self) -> Path:
        """Accepted models, all versions; tracked by DVC in ``data/registry.dvc``."""
        return self.data / "registry"

    def score(self, corpus: str) -> Path:
        """Return the folder of a synthetic corpus's scores against its ground truth."""
        return self.data / "score" / corpus

    @property
    def report(self) -> Path:
        """The report, one HTML page."""
        return self.data / "report" / "report.html"

    @property
    def stamped_report(self) -> Path:
        """A copy of the report with commit, machine and durations of the last run here."""
        return self.data / "report.html"

    @property
    def runs(self) -> Path:
        """Records of the last run of each stage on this machine; no output depends on them."""
        return self.store("runs")

    def external(self, key: str) -> Project:
        """Return the nested project in which `consilience evaluate` processes other recordings."""
        return Project(self.data / "external" / key)
