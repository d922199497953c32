"""Parameters of what leaves the machine."""

from __future__ import annotations

from pydantic import Field

from consilience.schema.params.base import Section


class PrivacyParams(Section):
    """Names and pictures of people in what leaves the machine."""

    KEY = "privacy"

    pseudonyms: bool = Field(
        False, description="people, sessions, files and annotators by keyed pseudonyms"
    )
    no_faces: bool = Field(
        True, description="false: thumbnails of one recording's face in the report"
    )
