"""What happens to a prompt: from its options and request to the reply and its usage."""
