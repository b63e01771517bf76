"""Upstreams through proxies and over HTTP/2: exchanges on the connections of httpx2's engine.

Nothing here is imported before a provider needs it; the way without a proxy over HTTP/1.1 is
`providers.http`.
"""
