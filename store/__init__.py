"""PostgreSQL: models, engine and repositories."""
