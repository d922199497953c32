"""Parameters of the ECG: those that one-channel sensors share."""

from consilience.modalities.params.single_channel import SingleChannelParams as Params

__all__ = ["Params"]
