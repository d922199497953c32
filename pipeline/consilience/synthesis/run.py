"""Write a project's synthetic corpus."""

from __future__ import annotations

from consilience.core.errors import ConsilienceError
from consilience.project import Project
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.corpus import write_corpus


def synthesize(project: Project, corpus: str = "demo") -> None:
    """Write the demonstration corpus and its ground truth.

    Parameters
    ----------
    project : Project
    corpus : str
        Its name; there is one, ``demo``.

    Raises
    ------
    ConsilienceError
        If the name is unknown.
    """
    if corpus != "demo":
        raise ConsilienceError(
            f"unknown synthetic corpus '{corpus}'", "params.yaml: dataset.synthetic", "use demo"
        )
    settings = project.section(SynthesisParams)
    write_corpus(settings, project.raw(corpus), project.truth(corpus))
