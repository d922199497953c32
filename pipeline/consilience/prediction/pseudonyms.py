"""Predictions under pseudonyms, so that they can be passed on."""

from __future__ import annotations

from dataclasses import replace

from consilience.core.pseudonyms import Names
from consilience.prediction.run import Predicted


def with_pseudonyms(predicted: Predicted, key: bytes) -> Predicted:
    """Return predictions whose tables and lists have pseudonyms instead of names.

    Parameters
    ----------
    predicted : Predicted
    key : bytes
        Of the study; see `consilience.core.pseudonyms.load_key`. People have the same pseudonyms as
        in the report of a study with this key.
    """
    sessions = predicted.windows.select("session", "subject").unique(maintain_order=True)
    names = Names(key, [(session, session, subject) for session, subject in sessions.iter_rows()])
    return replace(
        predicted,
        windows=names.mapped(predicted.windows),
        recordings=names.mapped(predicted.recordings),
        held_out=sorted(map(names.subject, predicted.held_out)),
        seen=sorted(map(names.subject, predicted.seen)),
    )
