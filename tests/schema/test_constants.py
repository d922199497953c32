import subprocess
import sys

from consilience.schema.constants import SEVERITIES


def test_severities_rise_from_1_to_5() -> None:
    assert SEVERITIES == (1, 2, 3, 4, 5)


def test_constants_are_imported_without_the_table_libraries() -> None:
    code = "import sys, consilience.schema.constants; print({'polars', 'pandera'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
