"""A run as one HTML page, without network access or scripts: `run_data` reads, `*_charts` draw, `page` renders."""
