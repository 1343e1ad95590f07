"""What knows only the wire: SDK, client commands and demo agents."""
