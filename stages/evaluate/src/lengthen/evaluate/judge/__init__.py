"""Grading quality with a language model: `judging` sends the requests, `reply` parses, `engine` and `endpoint` are the models."""
