"""Parts of the method that several stages use: ids and seeds, selection, the extend prompt, length demands, benchmark prompts."""
