"""Settings and logging, which every room of the server uses."""
