"""Evidence that a joint should not be read from, destroyed at random while the model is trained further."""
