"""The page's HTTP routes, as a plain aiohttp application."""
