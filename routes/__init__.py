"""The page's routes: aiohttp glue over `kling_direct.pages`; `registration.register` is the way in."""
