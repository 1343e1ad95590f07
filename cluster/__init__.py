"""Ray actors, the embedded servers and the chunkcrawl command: the only room that wires the others together."""
