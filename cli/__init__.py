"""The ``chunkcrawl`` command of server machines: the operators' commands, and ``up``."""
