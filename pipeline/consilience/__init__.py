"""A pipeline from raw EEG, voice and face recordings to an evaluated emotion model."""
