"""Sentence embeddings: the mean of the embeddings of a text's word pieces, 256 numbers.

The table of word pieces and its tokenizer are distributed in the package WordLlama (MIT), which
distilled them from the token embeddings of large language models, trained on sentence similarity
("l2_supercat", 256 dimensions). Its code is not imported: both files are read from the installed
package, offline, and no object is unpickled.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.pretrained.weights import package_folder

UNITS = 256
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
WEIGHTS = "weights/l2_supercat_256.safetensors"


def embed(text: str) -> tuple[NDArray[np.float32], int]:
    """Return the embedding of a text, and the number of its word pieces.

    Returns
    -------
    embedding : ndarray of float32, shape (256,)
        Of length 1; NaN if the text has no word piece.
    n_pieces : int

    Raises
    ------
    ConsilienceError
        If the packages with the table and the tokenizer are not installed.
    """
    tokenizer, table = _model()
    pieces = tokenizer.encode(text, add_special_tokens=False).ids
    mean = table[pieces].astype(np.float64).mean(axis=0) if pieces else np.full(UNITS, np.nan)
    length = np.linalg.norm(mean)
    return (mean / length if length > 0 else mean * np.nan).astype(np.float32), len(pieces)


@lru_cache(maxsize=1)
def _model() -> tuple[Any, NDArray[np.float16]]:
    folder = package_folder(
        find_spec("tokenizers") and find_spec("wordllama"),
        "the sentence model is not installed",
        "text",
        "pip install --no-deps tokenizers wordllama",
    )
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    return tokenizer, load_file(folder / WEIGHTS)["embedding.weight"]
