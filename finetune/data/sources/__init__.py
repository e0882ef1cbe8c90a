"""One file for each place rows can come from."""
