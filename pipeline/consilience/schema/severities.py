"""Severity levels of corrupted variants; apart from the tables, whose libraries start slowly."""

SEVERITIES = (1, 2, 3, 4, 5)  # a corrupted variant is named "<kind>_<severity>"
