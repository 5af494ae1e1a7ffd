"""Plain values for people and programs to read: no network, no clock, no host."""
