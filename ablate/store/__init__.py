"""What is stored of studies and cells, and the files beside it."""

from .store import Store, exists, version

__all__ = ["Store", "exists", "version"]
