"""A video of hours, for `benchmarks.speed.memory`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.face import RATE_HZ, write_face
from consilience.synthesis.plan import sessions


def write_video(path: Path, minutes: float) -> None:
    """Write a video of a simulated face, whose encoded pictures are repeated up to a duration."""
    segment = path.with_name("segment.mp4")
    params = SynthesisParams(subjects=1, sessions=1, missing_fraction=0, faulty_fraction=0)
    write_face(sessions(params)[0], segment)
    n_frames = 0
    with av.open(str(path), "w") as target:
        while n_frames < minutes * 60 * RATE_HZ:
            with av.open(str(segment)) as source:
                track: Any = source.streams.video[0]
                if not n_frames:
                    copied = target.add_stream_from_template(track)
                frame = round(1 / (RATE_HZ * track.time_base))
                start = n_frames * frame
                for packet in source.demux(track):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.dts, packet.pts = packet.dts + start, packet.pts + start
                    packet.stream = copied
                    target.mux(packet)
                n_frames += track.frames
    segment.unlink()
