import polars as pl

from consilience.reporting.charts import drift


def test_recordings_keep_their_place_in_every_sensor() -> None:
    table = pl.DataFrame(
        {"recording": ["b", "a", "b"], "sensor": ["eeg", "eeg", "audio"]}
        | {"deviation": [0.1, 3.0, -0.2]}
    )
    colours = {"eeg": "#000000", "audio": "#000001"}
    of_eeg, of_audio = drift.deviations(table, ["a", "b"], colours).data
    assert dict(zip(of_eeg.text, of_eeg.x, strict=True)) == {"a": 1, "b": 2}
    assert list(of_audio.x) == [2]
