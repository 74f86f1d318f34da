"""How do the indices differ between groups of joints?"""
