"""The vendor's HTTP API and nothing more."""
