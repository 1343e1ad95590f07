"""What goes over the wire: typed messages, their bytes, signatures, one agent's side of the protocol."""
