"""The operators: one a file, each a public function decorated with its record."""
