"""Location of the weights of a pretrained network: a package that is not imported."""

from __future__ import annotations

import hashlib
from importlib.machinery import ModuleSpec
from pathlib import Path

from consilience.core.errors import ConsilienceError


def package_folder(package: ModuleSpec | None, what: str, modality: str, remedy: str) -> Path:
    """Return the folder of a package that contains a network's weights.

    Parameters
    ----------
    package : ModuleSpec or None
        What `find_spec` returns for its name. The caller states the name as a literal, by which the
        fingerprint of its code includes the version of the package.
    what, modality, remedy : str
        Of the message: the problem, the modality that needs the network, how to install it.

    Raises
    ------
    ConsilienceError
        If the package is not installed.
    """
    if package is None or package.origin is None:
        raise ConsilienceError(what, f"modality {modality}", remedy)
    return Path(package.origin).parent


def verified_content(path: Path, sha256: str, modality: str, remedy: str) -> bytes:
    """Return the bytes of a file of weights, if they have the hash of those that were tested.

    Parameters
    ----------
    path : Path
    sha256 : str
        64 hexadecimal digits.
    modality, remedy : str
        Of the message: the modality that needs the network, how to install it.

    Raises
    ------
    ConsilienceError
        If the file does not exist or has other bytes.
    """
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ConsilienceError(f"{path.name} has other weights", f"modality {modality}", remedy)
    return content
