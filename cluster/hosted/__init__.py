"""Language models play over MCP at a gateway's ``/mcp``: the SDK's tools, with nothing installed but a URL and a key."""
