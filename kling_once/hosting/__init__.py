"""Media hosts: they turn a local reference video into a URL that Kling can fetch."""
