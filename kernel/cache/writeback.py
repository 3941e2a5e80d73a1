"""Write-back in the background: how much may be dirty, how long, and who writes it. """
from kernel.cache.file_cache import FileCache


def balance(cache: FileCache) -> None:
    """Called by writers, page by page."""
