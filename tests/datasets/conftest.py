from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")
