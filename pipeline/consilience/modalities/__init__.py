"""One file per sensor: reader, cleaning, quality, features, encoder and corruptions."""
