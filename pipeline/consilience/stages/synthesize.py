"""Stage ``synthesize``: ``python -m consilience.stages.synthesize demo``."""

from __future__ import annotations

from pathlib import Path

from consilience import params, stages
from consilience.core.errors import ConsilienceError
from consilience.synthesis.corpus import write_corpus


def main(corpus: str = "demo") -> None:
    """Write the demonstration corpus and its ground truth."""
    if corpus != "demo":
        raise ConsilienceError(
            f"there is no synthetic corpus '{corpus}'", "params.yaml: dataset.synthetic", "use demo"
        )
    write_corpus(params.load().synthesis, Path("data/raw") / corpus, Path("data/truth") / corpus)


if __name__ == "__main__":
    stages.run(main)
