import hashlib
from pathlib import Path

import pytest

from consilience.core.errors import ConsilienceError
from consilience.pretrained.weights import verified_content


def test_the_bytes_of_a_hash_are_returned_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.bin"
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert verified_content(path, sha256, "video", "install it") == b"weights"
    path.write_bytes(b"weighty")
    for bad in (path, tmp_path / "missing.bin"):
        with pytest.raises(ConsilienceError, match="install it") as error:
            verified_content(bad, sha256, "video", "install it")
        assert bad.name in str(error.value)
        assert "\n" not in str(error.value)
