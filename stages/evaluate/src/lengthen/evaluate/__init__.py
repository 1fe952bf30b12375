"""evaluate: a model or adapter x a benchmark -> scores."""
