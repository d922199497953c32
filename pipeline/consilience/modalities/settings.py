"""Parameters of the modalities that a project uses."""

from __future__ import annotations

from collections.abc import Iterable

from consilience.core import registry
from consilience.project import Project
from consilience.schema.params.base import read_plugins
from consilience.schema.params.plugins import ModalityParams


def modality_params(project: Project) -> dict[str, ModalityParams]:
    """Read and check the parameters of every modality in ``params.yaml``, in its order.

    Raises
    ------
    ConsilienceError
        If a modality is unknown, or a parameter is missing, unknown or out of range.
    """
    return read_plugins(project.content, "modalities", _params_class, str(project.params_file))


def encoder_names(modalities: Iterable[str]) -> list[str]:
    """Return the names of the registered encoders that some modalities use, sorted."""
    return sorted({_params_class(name).ENCODER for name in modalities})


def inputs_names(modalities: Iterable[str]) -> list[str]:
    """Return the names of the registered functions of some modalities' model inputs, sorted."""
    return sorted({_params_class(name).INPUTS for name in modalities})


def _params_class(name: str) -> type[ModalityParams]:
    kind: type[ModalityParams] = registry.params("modalities", name)
    return kind
