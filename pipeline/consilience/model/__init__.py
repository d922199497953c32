"""Building blocks of the models: encoders, evidence, coherence."""
