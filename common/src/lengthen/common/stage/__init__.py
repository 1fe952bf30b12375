"""What every stage is built from: its command line, its job, its rows, its yield."""
