"""Version, seeds and unusual parameters of a study, as a file that the report depends on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from consilience.core.distributions import installed_version
from consilience.core.errors import ConsilienceError

if TYPE_CHECKING:
    from consilience.params import Params

ABSENT = object()


def settings_document(settings: Params) -> dict[str, Any]:
    """Return version, seeds, number of folds and the parameters that differ from the defaults.

    Each parameter has its dotted name, value, default, and by what it is set: ``preset`` of the
    dataset or ``params.yaml``. Name and folder of the dataset are none of them.
    """
    return {
        "version": package_version(),
        "seeds": list(settings.training.seeds),
        "folds": settings.splits.folds,
        "parameters": [list(row) for row in differences(settings)],
    }


def package_version() -> str:
    """Return the version of this package; ``unknown`` where it is not installed."""
    return installed_version(__name__.partition(".")[0]) or "unknown"


def differences(settings: Params) -> Iterator[tuple[str, Any, Any, str]]:
    """Yield name, value, default and origin of each parameter that differs from its default."""
    from consilience.params import completed  # slow to import

    content = settings.model_dump(mode="json", serialize_as_any=True)
    blank: dict[str, Any] = {
        section: {name: {} for name in values} if section in ("modalities", "methods") else {}
        for section, values in content.items()
    }
    usual = completed(blank, "defaults")
    preset = flat(_preset(settings))
    defaults = flat(usual)
    for name, value in flat(content).items():
        default = defaults.get(name, ABSENT)
        if value != default and not name.startswith("dataset."):
            origin = "preset" if preset.get(name, ABSENT) == value else "params.yaml"
            yield name, value, None if default is ABSENT else default, origin


def flat(content: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested mappings as one, by dotted names; an empty mapping is a value."""
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{above}{key}"
        values |= flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return values


def _preset(settings: Params) -> dict[str, Any]:
    """Return what the dataset's adapter sets; nothing for an unknown dataset."""
    from consilience.core import registry

    try:
        preset = registry.get("datasets", settings.dataset.name).preset
    except ConsilienceError:  # the catalog stage reports it
        return {}
    plain: dict[str, Any] = _plain(preset)
    return plain


def _plain(value: Any) -> Any:
    """Return nested values as JSON has them: lists for tuples."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
