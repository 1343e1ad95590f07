"""PostgreSQL and Valkey from their wheels, as children of ``chunkcrawl up`` and of operators' commands."""
