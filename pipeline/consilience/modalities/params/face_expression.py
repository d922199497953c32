"""Parameters of the face's embedding."""

from __future__ import annotations

from typing import ClassVar

from consilience.modalities.params.video import VideoParams


class FaceExpressionParams(VideoParams):
    """Parameters of the embedding: those of `video`."""

    INPUTS: ClassVar[str] = "moments"


Params = FaceExpressionParams
