"""Classes of the sections of ``params.yaml``, one module each: values and checks only."""
