"""Who is calling: accounts, API keys, sessions, and the endpoints that make them."""
