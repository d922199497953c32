"""One file per dataset: where its recordings, clocks and annotations are."""
