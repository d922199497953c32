from __future__ import annotations

from xml.etree import ElementTree

from consilience.label_studio.config import Layout, labelling_config

FULL = Layout(True, True, ["eeg_Fp1", "eeg_O<2>"], ["calm", 'sad & "blue"'], ["valence"])


def test_players_of_a_task_are_in_time_and_the_rate_of_the_video_is_stated() -> None:
    view = ElementTree.fromstring(labelling_config(FULL))
    players = {tag.tag: tag.attrib for tag in view if "sync" in tag.attrib}
    assert set(players) == {"Video", "Audio", "TimeSeries"}
    assert len({attributes["sync"] for attributes in players.values()}) == 1
    assert players["Video"]["frameRate"] == "25"
    assert int(players["Video"]["height"]) < 400  # sound and curves stay in sight
    assert players["TimeSeries"]["timeDisplayFormat"] == ",.2f"
    assert [tag.get("column") for tag in view.iter("Channel")] == ["eeg_fp1", "eeg_o<2>"]
    assert [tag.get("legend") for tag in view.iter("Channel")] == ["eeg_Fp1", "eeg_O<2>"]


def test_classes_and_ratings_are_asked() -> None:
    view = ElementTree.fromstring(labelling_config(FULL))
    assert [tag.get("value") for tag in view.iter("Choice")] == ["calm", 'sad & "blue"']
    (number,) = view.iter("Number")
    assert (number.get("name"), number.get("min"), number.get("max")) == ("valence", "-1", "1")
    targets = {tag.get("toName") for tag in view if "toName" in tag.attrib}
    assert targets <= {tag.get("name") for tag in view}


def test_a_study_of_one_sensor_has_one_player() -> None:
    view = ElementTree.fromstring(labelling_config(Layout(False, True, [], ["calm"], [])))
    assert [tag.tag for tag in view] == ["Text", "Audio", "Choices"]
