"""Credentials: profiles, the keyring that stores them, and the account that a task is sent with."""
