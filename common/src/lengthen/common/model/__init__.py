"""Model and adapter folders: check, download, convert, merge. Safetensors only."""
