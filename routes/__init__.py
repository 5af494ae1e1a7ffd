"""The page's routes: aiohttp glue over `kling_once.pages`; `registration.register` is the way in."""
