"""Simple agents: rules, what drives them, and the demo that lets a handful play."""
