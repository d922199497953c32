"""The format of a file by its first bytes, compared with the ending of its name."""

from __future__ import annotations

from pathlib import Path

from consilience.core.errors import RecordingError

HEAD_BYTES = 32
BLOCK = 2**22  # bytes read at once
MIN_LINE_ENDS = 16  # fewer, unless they account for the whole length, could be due to chance
# First bytes of each format, and the endings that it has.
SIGNATURES = (
    (b"0       ", "EDF", (".edf",)),
    (b"\xffBIOSEMI", "BDF", (".bdf",)),
    (b"Brain Vision", "a BrainVision header", (".vhdr", ".vmrk", ".ahdr", ".amrk")),
    (b"BrainVision", "a BrainVision header", (".vhdr", ".vmrk", ".ahdr", ".amrk")),
    (b"XDF:", "XDF", (".xdf", ".xdfz")),
    (b"MATLAB ", "MATLAB", (".mat", ".set")),
    (b"\x89HDF\r\n\x1a\n", "HDF5", (".mat", ".set", ".h5", ".hdf5")),
    (b"\x00\x00\x00\x64\x00\x00\x00\x1f", "FIF", (".fif",)),
    (b"GDF ", "GDF", (".gdf",)),
    (b"\x1f\x8b", "compressed by gzip", (".gz", ".xdfz", ".xdf")),
    (b"PK\x03\x04", "a ZIP archive", (".zip",)),
    (b"version https://git-lfs", "a pointer of Git LFS, without the recording", ()),
    (b"/annex/objects/", "a pointer of git-annex, without the recording", ()),
)
PACKED = ("compressed by gzip", "a ZIP archive")


def check_not_empty(path: Path) -> None:
    """Raise RecordingError if a file is empty."""
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")


def check_content(path: Path) -> None:
    """Compare the first bytes of a recording with the ending of its name.

    A content that is not recognised passes, and is left to the reader of the format.

    Raises
    ------
    RecordingError
        If the content is that of another format.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    suffix = path.suffix.lower()
    for signature, kind, suffixes in SIGNATURES:
        if head.startswith(signature) and suffix not in suffixes:
            if kind in PACKED:
                remedy = "unpack it"
            elif not suffixes:
                command = "git lfs pull" if b"lfs" in signature else f"git annex get {path.name}"
                remedy = f"download the content with '{command}'"
            else:
                remedy = f"rename it to end in {suffixes[0]}, or export it again"
            raise RecordingError(
                f"the name ends in {suffix}, but the content is {kind}", str(path), remedy
            )


def refuse_converted(path: Path, extra: int | None = None) -> None:
    """Refuse a file of samples in which every LF became CR LF, as in a text file.

    Parameters
    ----------
    path : Path
    extra : int, optional
        Bytes beyond the declared length, one for each LF that a program converted: some leave CR LF
        as it is. If none is declared, the first 4 MiB decide.

    Raises
    ------
    RecordingError
        If every LF is preceded by CR and, if a length is declared, they are at least as many as the
        bytes beyond it.
    """
    n_lf = n_cr_lf = 0
    last = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            n_lf += block.count(b"\n")
            n_cr_lf += (last + block).count(b"\r\n")
            last = block[-1:]
            if extra is None or n_lf > n_cr_lf:
                break
    if n_lf == n_cr_lf and (n_lf == extra or (n_lf > MIN_LINE_ENDS and n_lf >= (extra or 0))):
        raise RecordingError(
            f"damaged by a conversion of line ends: each of its {n_lf} LF is preceded by CR",
            str(path),
            f"copy it again as a binary file; in Git, mark *{path.suffix} as binary",
        )
