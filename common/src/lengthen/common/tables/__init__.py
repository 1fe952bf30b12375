"""The tables that stages hand to each other: their columns, and the check that a file has them."""
