"""WebSockets and event streams: frames, connections, what agents, owners and spectators are sent."""
