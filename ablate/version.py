"""The version, for what must not import the rest."""

__version__ = "0.1.0"
JSON_VERSION = 1  # of all that commands print for programs: counts up when a field goes or means something else
