"""What each command does. It prints; the library logs and raises."""
