"""What `restricted_pickle` makes in the place of what a pickle asks for, and how much of it."""
