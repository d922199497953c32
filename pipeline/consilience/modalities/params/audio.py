"""Parameters of the voice: `AudioParams`, and `VoiceParams` for every modality that reads sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from consilience.schema.params.plugins import (
    Corruption,
    ModalityParams,
    Severities,
    default_corruptions,
)

SPEECH_BLOCK_S = 0.032  # of the network that detects speech
RESAMPLING_S = 0.02  # reach of the filter before the rate is changed
CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption("signal-to-noise ratio in dB", (20.0, 10.0, 5.0, 0.0, -5.0), (-60, 60)),
    "babble": Corruption("signal-to-babble ratio in dB", (20.0, 10.0, 5.0, 0.0, -5.0), (-60, 60)),
    "reverb": Corruption("reverberation time in s", (0.2, 0.4, 0.7, 1.0, 1.5), (0.01, 10)),
    "clipping": Corruption("overload in dB", (6.0, 12.0, 20.0, 30.0, 45.0), (0, 80)),
    "packet_loss": Corruption("share of packets lost", (0.05, 0.1, 0.2, 0.4, 0.65), (0, 0.95)),
    "telephone": Corruption(
        "upper edge of the band in Hz", (5000.0, 3400.0, 2400.0, 1600.0, 900.0), (400, 24000)
    ),
}


class VoiceParams(ModalityParams):
    """Parameters of reading sound, of its pulses and of detecting speech by loudness."""

    rate_hz: float = Field(16000.0, gt=0)
    window_s: float = Field(0.032, gt=0)
    hop_s: float = Field(0.02, gt=0)
    mel_bands: int = Field(26, ge=1)
    cepstra: int = Field(13, ge=1)
    pitch_min_hz: float = Field(60.0, gt=0)
    pitch_max_hz: float = Field(600.0, gt=0)
    pitch_window_s: float = Field(0.05, gt=0)
    voicing_threshold: float = Field(0.5, gt=0, lt=1)
    pulse: Literal["click", "clap", "tone"] = Field(
        "click", description="what marks synchronisation: click, clap (of a clapperboard) or tone"
    )
    clap_s: float = Field(0.1, gt=0, description="a clap has died away by then")
    tone_hz: float = Field(1000.0, gt=0)
    tone_s: float = Field(0.1, gt=0)
    click_band_hz: float = Field(4000.0, gt=0)
    click_ratio: float = Field(12.0, gt=1)
    click_s: float = Field(0.004, gt=0)
    smoothing_frames: int = Field(3, ge=1)
    speech_range_db: float = Field(35.0, gt=0)
    hold_s: float = Field(0.5, gt=0)
    CORRUPTION_KINDS: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    corruptions: dict[str, Severities] = default_corruptions(CORRUPTIONS)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if abs(self.hop_s * self.rate_hz - round(self.hop_s * self.rate_hz)) > 1e-6:
            raise ValueError("hop_s must be a whole number of samples at rate_hz")
        if self.cepstra > self.mel_bands:
            raise ValueError("cepstra must not exceed mel_bands")
        if not self.pitch_min_hz < self.pitch_max_hz < self.rate_hz / 4:
            raise ValueError("pitch_min_hz < pitch_max_hz < rate_hz / 4 must hold")
        return self

    @property
    def frame_rate_hz(self) -> float:
        """Feature frames per second."""
        return 1 / self.hop_s

    @property
    def sound_rate_hz(self) -> float:
        """Rate at which sound is read."""
        return self.rate_hz

    @property
    def pulse_s(self) -> float:
        """Duration of a synchronisation pulse in seconds."""
        return {"click": self.click_s, "clap": self.clap_s, "tone": self.tone_s}[self.pulse]


class AudioParams(VoiceParams):
    """Parameters of the voice's features."""

    @property
    def lookahead_s(self) -> float | None:
        """Reach of the fill of silence, of a frame, and of smoothing and differences."""
        frames_s = (self.smoothing_frames // 2 + 1) * self.hop_s
        half_s = max(self.window_s, self.pitch_window_s) / 2
        return self.hold_s + max(half_s + frames_s, SPEECH_BLOCK_S) + RESAMPLING_S

    speech_probability: float = Field(
        0.15, gt=0, lt=1, description="least probability at which a loud frame is speech"
    )


Params = AudioParams
