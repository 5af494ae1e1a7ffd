"""Kling Motion Control with your own account: paid once, kept for good."""
