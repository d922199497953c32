"""Building blocks that methods share: heads, losses, evidence, uncertainty, modality subsets."""
