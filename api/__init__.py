"""The ASGI app: accounts, sessions, the challenge, sockets and event streams."""
