"""A pipeline from raw EEG, voice and face recordings to an evaluated emotion model."""

import os

from consilience.core import study

# Numerical threads that wait for each other give up their core soon. By default they hold it for
# milliseconds, and a training beside other work on the same cores took several times as long. The
# variable has no effect after torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

study.attach()
