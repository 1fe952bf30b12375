"""Judging quality with a language model: `judging` asks, `reply` reads, `endpoint` and `engine` are whom it asks."""
