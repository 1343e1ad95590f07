"""The players' part of the ``chunkcrawl`` command."""
