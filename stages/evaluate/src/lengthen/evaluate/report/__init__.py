"""A run as one page: `gather` reads it, `charts` draws, `page` lays it out. Nothing here needs a network or a script."""
