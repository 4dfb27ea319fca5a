"""What is shipped, and what the tree may contain."""
