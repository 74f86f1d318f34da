"""Is a joint read from itself, or from its parent, its partner, a mark, the background?"""
