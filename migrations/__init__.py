"""The database's revisions and the function that runs them."""
