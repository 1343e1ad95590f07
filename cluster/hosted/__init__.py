"""Language models play over MCP at a gateway's ``/mcp``: the SDK's tools, for whoever has the URL and a key."""
