"""Looks at a deployment and says what is wrong with it, why that matters, and what to do (``chunkcrawl doctor``)."""
