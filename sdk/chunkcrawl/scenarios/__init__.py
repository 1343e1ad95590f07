"""Scripted scenarios: their file, and running one."""
