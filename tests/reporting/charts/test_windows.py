import polars as pl

from consilience.reporting.charts import windows

COLOURS = {"happy": "#000001", "sad": "#000002"}


def predictions(n_sessions: int, n_windows: int) -> pl.DataFrame:
    rows = [
        {"window": f"{session}_{number}", "session": f"s{session}", "subject": "sub"}
        | {"start_s": 2.0 * number, "actual": None if number == 1 else "happy"}
        | {"predicted": "happy" if number else "sad"}
        | {"confidence": 0.5, "vacuity": 0.2, "coherence": 0.9}
        for session in range(n_sessions)
        for number in range(n_windows)
    ]
    return pl.DataFrame(rows)


def test_one_session_is_visible_at_first_and_every_entry_shows_its_own() -> None:
    chart = windows.timeline(predictions(2, 3), COLOURS)
    assert [trace.visible for trace in chart.data] == [True] * 5 + [False] * 5
    buttons = chart.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["s0", "s1"]
    assert buttons[1].args[0]["visible"] == [False] * 5 + [True] * 5
    assert list(chart.data[0].x) == [0.0, 2.0, 4.0]


def test_only_the_first_sessions_of_many_are_listed() -> None:
    table = predictions(windows.MOST_GROUPS + 5, 3)
    drawn = windows.first_groups(table)
    assert drawn["session"].n_unique() == windows.MOST_GROUPS
    assert windows.first_groups(drawn).equals(drawn)


def test_sessions_of_single_windows_are_joined_by_subject() -> None:
    chart = windows.timeline(predictions(4, 1), COLOURS)
    assert [button.label for button in chart.layout.updatemenus[0].buttons] == ["sub"]
    assert list(chart.data[0].x) == [0, 1, 2, 3]
    assert chart.layout.xaxis.title.text == "window"


def test_an_unlabelled_window_is_faint() -> None:
    chart = windows.timeline(predictions(1, 3), COLOURS)
    strip = next(trace for trace in chart.data if trace.name == "actual")
    assert strip.text[1] == "unlabelled"
    assert strip.marker.color[1] not in COLOURS.values()
    assert strip.marker.color[0] == COLOURS["happy"]


def test_coherence_separates_correct_from_wrong_and_omits_unlabelled_windows() -> None:
    correct, wrong = windows.coherence(predictions(1, 3)).data
    assert list(correct.text) == ["0_2"]
    assert list(wrong.text) == ["0_0"]
