"""expand: responses -> expansions."""
