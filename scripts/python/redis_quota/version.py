"""The version of the distribution: pyproject.toml and quotactl --version read it here."""

__version__ = "0.1.0"
