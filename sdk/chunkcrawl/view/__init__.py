"""The world as an agent or a watcher sees it: what is known of a chunk, ways through it, how it is drawn."""
