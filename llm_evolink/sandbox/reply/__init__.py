"""What the sandbox answers, and in which form."""
