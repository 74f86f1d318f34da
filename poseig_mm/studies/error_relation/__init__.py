"""How do the indices go with the size of the error?"""
