"""A language model plays: tools, observations and hints, and the MCP server around them."""
