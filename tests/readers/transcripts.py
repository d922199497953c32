"""The same two utterances in every format of transcripts."""

from pathlib import Path

from consilience.readers.transcript import Utterance

UTTERANCES = [Utterance(1.0, 2.5, "I am so happy today"), Utterance(3.0, 4.0, "and you?")]
FORMATS = {
    "table.csv": 'start_s,end_s,text\n1,2.5,I am so happy  today\n3,4,"and you?"\n',
    "table.tsv": "text\tend_s\tstart_s\nI am so happy today\t2.5\t1\nand you?\t4\t3\n",
    "cues.vtt": "WEBVTT\n\nNOTE of an editor\n\n00:01.000 --> 00:02.500 align:start\n"
    "<v Anna>I am <b>so</b>\nhappy today\n\n00:00:03.000 --> 00:00:04.000\nand you?\n",
    "cues.srt": "1\n00:00:01,000 --> 00:00:02,500\n<i>I am so happy</i>\ntoday\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\n[laughs] and you?\n",
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a transcript into a folder."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
