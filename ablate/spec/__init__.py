"""From a JSON document to checked recipes, and the keys of their cells."""

from .document import Spec, is_file, load

__all__ = ["Spec", "is_file", "load"]
