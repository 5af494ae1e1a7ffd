"""One unit of paid work, from intent to kept file."""
