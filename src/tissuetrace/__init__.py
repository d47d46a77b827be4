"""Four published tissue-imaging studies as one data-versioned, audited project."""

__version__ = "0.1.0"
