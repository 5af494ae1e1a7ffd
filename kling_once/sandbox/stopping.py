"""The one way in which work in a worker thread ends early."""


class Stopped(Exception):
    """The sandbox is stopping; what was under way is begun anew another time."""
