"""Good, jitter, inversion, swap or miss: what kind of error is it?"""
