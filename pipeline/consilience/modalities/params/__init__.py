"""Parameter classes of the built-in modalities: one module each, without heavy imports.

``consilience.core.registry.params`` looks here first, so that reading ``params.yaml`` does not
import a sensor's signal-processing libraries. Each module defines its class also as ``Params``.
"""
