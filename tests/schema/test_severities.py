import subprocess
import sys

from consilience.schema.severities import SEVERITIES
from consilience.schema.tables import SEVERITIES as TABLE_SEVERITIES


def test_severities_rise_from_1_to_5() -> None:
    assert SEVERITIES == TABLE_SEVERITIES == (1, 2, 3, 4, 5)


def test_severities_are_imported_without_the_table_libraries() -> None:
    code = (
        "import sys, consilience.schema.severities; print({'polars', 'pandera'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
