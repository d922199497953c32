"""Generators of hostile files: malformed, oversized, misleading or unsafe to open."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import edfio
import h5py
import numpy as np
import pybv
import scipy.io
import soundfile

from consilience.core.seeds import generator

Maker = Callable[["ExampleFiles", Path], object]
SESSION = "zz-{}"  # sorted after the valid ones, because the first of two duplicates is kept


@dataclass(frozen=True)
class ExampleFiles:
    """Valid recordings by file extension, to be corrupted, and a folder outside the dataset."""

    files: dict[str, Path]
    outside: Path

    def content(self, ending: str) -> bytes:
        return self.files[ending].read_bytes()


@dataclass(frozen=True)
class Hostile:
    """A hostile file: modality, path below the root, generator, and item to read."""

    modality: str
    path: str
    make: Maker
    item: str = ""


def truncated(ending: str, at: float) -> Maker:
    """Truncate a valid file at a fixed random position up to the share `at`."""

    def make(examples: ExampleFiles, path: Path) -> None:
        content = examples.content(ending)
        end = int(len(content) * at * generator("truncate", ending, at).uniform(0.5, 1))
        path.write_bytes(content[: max(1, end)])

    return make


def flipped(ending: str, seed: int, n_bits: int = 24, within: int = 400) -> Maker:
    """Flip bits near the beginning."""

    def make(examples: ExampleFiles, path: Path) -> None:
        content = bytearray(examples.content(ending))
        rng = generator("flip", ending, seed)
        for place in rng.integers(0, min(within, len(content)), n_bits):
            content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)

    return make


def of(content: bytes) -> Maker:
    return lambda examples, path: path.write_bytes(content)


def with_other_extension(ending: str) -> Maker:
    return lambda examples, path: path.write_bytes(examples.content(ending))


def wav(sound: np.ndarray, rate_hz: int = 16000, subtype: str = "FLOAT") -> Maker:
    return lambda examples, path: soundfile.write(
        path, sound, rate_hz, format=path.suffix[1:].upper(), subtype=subtype
    )


def wav_header(**fields: int) -> Maker:
    """Write a WAV file with arbitrary header fields."""
    header = {"size": 32036, "channels": 1, "rate": 16000, "data": 32000, "bits": 16, **fields}
    block = max(1, header["channels"] * header["bits"] // 8) & 0xFFFF
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", header["size"], b"WAVE", b"fmt ", 16, 1, header["channels"], header["rate"]),
        *(min(header["rate"] * block, 2**32 - 1), block, header["bits"], b"data", header["data"]),
    )
    noise = generator("wav header").integers(-3000, 3000, 16000, np.int16).tobytes()
    return of(head + noise)


def edf_field(start: int, text: str, length: int = 8, ending: str = ".edf") -> Maker:
    """Overwrite a field of an EDF header."""

    def make(examples: ExampleFiles, path: Path) -> None:
        content = bytearray(examples.content(ending))
        content[start : start + length] = text.ljust(length).encode()[:length]
        path.write_bytes(content)

    return make


def edf_of(values: np.ndarray, rate_hz: float) -> Maker:
    names = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")
    return lambda examples, path: edfio.Edf(
        [edfio.EdfSignal(values, rate_hz, label=name, physical_range=(-200, 200)) for name in names]
    ).write(path)


def mat_of(cube: np.ndarray, **others: object) -> Maker:
    return lambda examples, path: scipy.io.savemat(path, {"seg1": cube, **others})


def mat_bomb(examples: ExampleFiles, path: Path) -> None:
    """Write a MAT 5 file of a few MB whose variable decompresses to 3 GB of zeros."""
    packer = zlib.compressobj(9)
    n_bytes = 3 * 2**30
    shape = struct.pack("<IIii i i", 5, 12, 500, 30, n_bytes // 8 // 15000, 0)
    inner = struct.pack("<IIII", 6, 8, 6, 0) + shape + struct.pack("<II", 1, 4) + b"seg1"
    begin = packer.compress(struct.pack("<II", 14, n_bytes + 56) + inner)
    begin += packer.compress(struct.pack("<II", 9, n_bytes)) + packer.flush(zlib.Z_FULL_FLUSH)
    mebibyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    content = begin + mebibyte * (n_bytes // 2**20)
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + struct.pack("<II", 15, len(content)) + content)


def mat73_bomb(examples: ExampleFiles, path: Path) -> None:
    """Write an empty MAT 7.3 file that declares a petabyte."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("seg1", (10**9, 30, 10**4), "f4", chunks=(1, 30, 10**4), fillvalue=0)


def npy_pickle(examples: ExampleFiles, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([CreatesFile(examples.outside)], object), allow_pickle=True)


class CreatesFile:
    """Creates a file when its pickle is loaded."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "created")

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mknod, (self.path,))


def pickled(examples: ExampleFiles, path: Path) -> None:
    path.write_bytes(pickle.dumps(CreatesFile(examples.outside)))


def zip_bomb(examples: ExampleFiles, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("seg1.npy", bytes(10**8))


def brainvision(samples: str, markers: str = "") -> Maker:
    """Write a BrainVision header with an arbitrary path of its samples."""

    def make(examples: ExampleFiles, path: Path) -> None:
        noise = generator("brainvision").normal(0, 2e-5, (10, 1000))
        names = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
        pybv.write_brainvision(
            data=noise,
            sfreq=250,
            ch_names=names,
            fname_base=path.stem,
            folder_out=path.parent,
            overwrite=True,
        )
        text = path.read_text().replace(f"DataFile={path.stem}.eeg", f"DataFile={samples}")
        path.write_text(text)

    return make


def brainvision_fifo(examples: ExampleFiles, path: Path) -> None:
    """Write a BrainVision header whose samples are a pipe without a writer."""
    brainvision(f"{path.stem}.eeg")(examples, path)
    path.with_suffix(".eeg").unlink()
    os.mkfifo(path.with_suffix(".eeg"))


def video(n_frames: int, width: int = 128, height: int = 96, rate: int = 25) -> Maker:
    def make(examples: ExampleFiles, path: Path) -> None:
        pictures = generator("hostile video").integers(0, 255, (n_frames, height, width), np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            container.start_encoding()
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(picture, format="gray")
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
            container.mux(stream.encode(None))

    return make


def avi_of_size(examples: ExampleFiles, path: Path) -> None:
    """Write an AVI file whose header declares frames of 4 billion pixels."""
    content = bytearray(examples.content(".avi"))
    for place in (64, content.index(b"strf") + 12):
        content[place : place + 8] = struct.pack("<II", 65500, 65500)
    path.write_bytes(content)


def playlist(examples: ExampleFiles, path: Path) -> None:
    """Write a playlist with a file outside the dataset, which some readers open by content."""
    inside = examples.outside / "secret.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{inside}'\nduration 2\n")


def list_of_a_neighbour(examples: ExampleFiles, path: Path) -> None:
    """Write a playlist with a valid file beside it, which must not be opened either."""
    neighbour = path.with_name(f"{path.stem}-neighbour.mp4")
    neighbour.write_bytes(examples.content(".mp4"))
    path.write_text(f"ffconcat version 1.0\nfile {neighbour.name}\n")


def session_description(examples: ExampleFiles, path: Path) -> None:
    """Write a session description that makes a reader listen on the network."""
    path.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n"
    )


def hls(examples: ExampleFiles, path: Path) -> None:
    inside = examples.outside / "secret.mp4"
    lines = (
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:2",
        "#EXTINF:2,",
        f"file://{inside}",
        "#EXT-X-ENDLIST",
    )
    path.write_text("\n".join(lines) + "\n")


def link_to(target: Callable[[ExampleFiles, Path], Path | str]) -> Maker:
    return lambda examples, path: path.symlink_to(target(examples, path))


def directory(examples: ExampleFiles, path: Path) -> None:
    path.mkdir()
    (path / "a.wav").touch()


def nothing(examples: ExampleFiles, path: Path) -> None:
    """Write no file: the path itself is hostile."""


def xdf(*chunks: tuple[int, bytes]) -> Maker:
    """Write an XDF file from chunks of tag and content."""
    content = b"XDF:"
    for tag, inside in chunks:
        content += b"\x04" + struct.pack("<I", len(inside) + 2) + struct.pack("<H", tag) + inside
    return of(content)


STREAM = (
    "<info><name>a</name><type>EEG</type><channel_count>{n}</channel_count>"
    "<nominal_srate>{rate}</nominal_srate><channel_format>float32</channel_format></info>"
)
XML_BOMB = (
    '<!DOCTYPE info [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><info><name>&i;</name></info>"
)


def stream(n: int = 8, rate: float = 256, text: str = "") -> tuple[int, bytes]:
    return 2, struct.pack("<I", 1) + (text or STREAM.format(n=n, rate=rate)).encode()


def valid_xdf(examples: ExampleFiles | None, path: Path) -> None:
    """Write four seconds of eight channels."""
    values = generator("good xdf").normal(0, 20, (1024, 8)).astype("<f4")
    samples = b"".join(
        b"\x08" + struct.pack("<d", number / 256) + row.tobytes()
        for number, row in enumerate(values)
    )
    content = struct.pack("<IBI", 1, 4, len(values)) + samples
    head = b"<?xml version='1.0'?><info><version>1.0</version></info>"
    xdf((1, head), stream(), (3, content))(examples, path)


NOISE = generator("hostile noise").normal(0, 0.1, 32000).astype(np.float32)
CUBE = generator("hostile cube").normal(0, 20, (1500, 30, 2))
ZEROS = np.zeros(2500)


def files() -> Iterator[tuple[str, Hostile]]:
    """Yield every hostile file by name."""
    kinds = {".edf": "eeg", ".bdf": "eeg", ".mat": "eeg", ".xdf": "eeg"}
    kinds |= dict.fromkeys((".wav", ".flac", ".mp3"), "audio")
    kinds |= dict.fromkeys((".mp4", ".avi", ".mkv"), "video")
    items = {".mat": "0", ".xdf": "EEG#1"}
    for ending, modality in kinds.items():
        item = items.get(ending, "")
        for number, at in enumerate((0.02, 0.7)):
            name = f"truncated-{number}{ending}"
            yield name, Hostile(modality, name, truncated(ending, at), item)
        for seed in (0, 1):
            name = f"flipped-{seed}{ending}"
            yield name, Hostile(modality, name, flipped(ending, seed), item)
    yield from _by_content()
    yield from _by_path()


def _by_content() -> Iterator[tuple[str, Hostile]]:
    makers: dict[str, tuple[str, Maker] | tuple[str, Maker, str]] = {
        "bomb.mat": ("eeg", mat_bomb, "0"),
        "bomb73.mat": ("eeg", mat73_bomb, "0"),
        "zip.mat": ("eeg", zip_bomb, "0"),
        "pickle.mat": ("eeg", pickled, "0"),
        "pickle.npy": ("eeg", npy_pickle),
        "pickle.wav": ("audio", pickled),
        "no-trial.mat": ("eeg", mat_of(CUBE), "7"),
        "item.mat": ("eeg", mat_of(CUBE), "../../etc"),
        "one-sample.mat": ("eeg", mat_of(CUBE[:1]), "0"),
        "nan.mat": ("eeg", mat_of(np.full_like(CUBE, np.nan)), "0"),
        "inf.mat": ("eeg", mat_of(np.full_like(CUBE, np.inf)), "0"),
        "huge.mat": ("eeg", mat_of(CUBE * 1e300), "0"),
        "complex.mat": ("eeg", mat_of(CUBE + 1j), "0"),
        "words.mat": ("eeg", mat_of(np.array(["words"], object), data="x"), "0"),
        "sound.edf": ("eeg", with_other_extension(".wav")),
        "picture.wav": ("audio", with_other_extension(".mp4")),
        "eeg.mp4": ("video", with_other_extension(".edf")),
        "flac.mp3": ("audio", with_other_extension(".flac")),
        "matroska.avi": ("video", with_other_extension(".mkv")),
        "eeg.docx": ("eeg", with_other_extension(".edf")),
        "empty.bdf": ("eeg", of(b"")),
        "empty.mkv": ("video", of(b"")),
        "one-byte.flac": ("audio", of(b"f")),
        "text.bdf": ("eeg", of(b"measured on Monday\n" * 100)),
        "zeros.mp4": ("video", of(bytes(100_000))),
        "random.avi": ("video", of(generator("random avi").bytes(50_000))),
        "random.set": ("eeg", of(generator("random set").bytes(50_000))),
        "random.fif": ("eeg", of(generator("random fif").bytes(50_000))),
        "no-sample.wav": ("audio", wav(NOISE[:0])),
        "one-sample.wav": ("audio", wav(NOISE[:1])),
        "one-sample.flac": ("audio", wav(NOISE[:1], subtype="PCM_16")),
        "nan.wav": ("audio", wav(np.where(NOISE > 0.2, np.nan, NOISE))),
        "inf.wav": ("audio", wav(np.where(NOISE > 0.2, np.inf, NOISE))),
        "overflow.wav": ("audio", wav(NOISE * 3e37)),
        "slow.wav": ("audio", wav_header(rate=1)),
        "fast.wav": ("audio", wav_header(rate=2**32 - 1)),
        "no-rate.wav": ("audio", wav_header(rate=0)),
        "channels.wav": ("audio", wav_header(channels=65535)),
        "no-channel.wav": ("audio", wav_header(channels=0)),
        "no-record.edf": ("eeg", edf_field(236, "none")),
        "endless.edf": ("eeg", edf_field(236, "99999999")),
        "negative.edf": ("eeg", edf_field(236, "-5")),
        "fast.edf": ("eeg", edf_field(244, "1e-8")),
        "slow.edf": ("eeg", edf_field(244, "1e8")),
        "nan.edf": ("eeg", edf_field(244, "nan")),
        "channels.edf": ("eeg", edf_field(252, "9999", 4)),
        "words.edf": ("eeg", edf_field(184, "a lot")),
        "flat.edf": ("eeg", edf_of(ZEROS, 250)),
        "short.edf": ("eeg", edf_of(ZEROS[:2], 2)),
        "elsewhere.vhdr": ("eeg", brainvision("../../outside/secret.eeg")),
        "absolute.vhdr": ("eeg", brainvision("/dev/zero")),
        "itself.vhdr": ("eeg", brainvision("itself.vhdr")),
        "pipe.vhdr": ("eeg", brainvision_fifo),
        "no-frame.mp4": ("video", video(0)),
        "one-frame.mp4": ("video", video(1)),
        "tiny.mp4": ("video", video(30, 2, 2)),
        "fast.avi": ("video", video(20, rate=60_000)),
        "pixels.avi": ("video", avi_of_size),
        "playlist.avi": ("video", playlist),
        "playlist.mkv": ("video", hls),
        "playlist.mp4": ("audio", hls),
        "playlist.wav": ("audio", hls),
        "neighbour.mp4": ("video", list_of_a_neighbour),
        "neighbour.avi": ("audio", list_of_a_neighbour),
        "neighbour.mp3": ("audio", list_of_a_neighbour),
        "network.mkv": ("video", session_description),
        "hdf5.set": ("eeg", mat73_bomb),
        "no-stream.xdf": ("eeg", xdf((1, b"<info/>")), "EEG#1"),
        "no-sample.xdf": ("eeg", xdf((1, b"<info/>"), stream()), "EEG#1"),
        "bomb.xdf": ("eeg", xdf((1, b"<info/>"), stream(text=XML_BOMB)), "EEG#1"),
        "channels.xdf": ("eeg", xdf((1, b"<info/>"), stream(n=2**31)), "EEG#1"),
        "rate.xdf": ("eeg", xdf((1, b"<info/>"), stream(rate=1e300)), "EEG#1"),
        "claims.xdf": (
            "eeg",
            xdf(
                (1, b"<info/>"),
                stream(),
                (3, struct.pack("<IBQ", 1, 8, 2**60) + bytes(64)),
            ),
            "EEG#1",
        ),
        "endless.xdf": ("eeg", of(b"XDF:\x08" + struct.pack("<Q", 2**62) + b"\x01\x00"), "EEG#1"),
        "table.csv": ("face_au", of(b"clip,AU01_r\nother,1\n"), "wanted"),
        "nul.csv": ("face_au", of(b"clip,AU01_r\n\x00\xff,1\n"), "wanted"),
        "wide.csv": ("face_au", of(b"clip" + b",a" * 10**6 + b"\n"), "wanted"),
        "words.csv": ("face_au", of(b"clip,AU01_r\nwanted,much\n"), "wanted"),
        "nan.csv": ("face_au", of(b"clip,AU01_r\nwanted,nan\n"), "wanted"),
    }
    for name, (modality, make, *item) in makers.items():
        yield name, Hostile(modality, name, make, *item)


def _by_path() -> Iterator[tuple[str, Hostile]]:
    outside = link_to(lambda examples, path: examples.outside / "secret.wav")
    device = link_to(lambda examples, path: "/dev/zero")
    itself = link_to(lambda examples, path: path)
    gone = link_to(lambda examples, path: path.with_name("gone.wav"))
    yield "link-outside", Hostile("audio", "link outside.wav", outside)
    yield "link-device", Hostile("audio", "device.wav", device)
    yield "link-itself", Hostile("audio", "loop.wav", itself)
    yield "link-gone", Hostile("audio", "dangling.wav", gone)
    yield "fifo", Hostile("audio", "pipe.wav", lambda examples, path: os.mkfifo(path))
    yield "fifo-edf", Hostile("eeg", "pipe.edf", lambda examples, path: os.mkfifo(path))
    yield "folder", Hostile("audio", "folder.wav", directory)
    yield "folder-edf", Hostile("eeg", "folder.edf", directory)
    yield "parent", Hostile("audio", "../outside/secret.wav", nothing)
    yield "absolute", Hostile("audio", "/etc/hostname", nothing)
    yield "long-name", Hostile("audio", f"{'x' * 300}.wav", nothing)
    yield "long-path", Hostile("audio", f"{'d/' * 3000}a.wav", nothing)
    yield "home", Hostile("audio", "~/a.wav", nothing)
    yield "no-ending", Hostile("audio", "noise", with_other_extension(".wav"))
    yield "control", Hostile("audio", "bell\x07.wav", with_other_extension(".mp3"))


FILES = dict(files())
# Session names that are not valid file names, or lead to another folder.
NAMES = ("../escape", "a/b", "..", ".hidden", "s" * 300, "bell\x07", "a\\b", "\u202edetsrever")
