"""Parameters of the upper face's action units: those of the whole face."""

from consilience.modalities.params.face_au import FaceAuParams as Params

__all__ = ["Params"]
