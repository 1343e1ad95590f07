"""HTTP, sockets and sessions that are kept alive over a server that comes and goes."""
