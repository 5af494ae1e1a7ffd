"""Whose key pays, in which realm: profiles, the keyring, accounts."""
