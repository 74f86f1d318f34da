"""How do the indices differ between easy and hard persons?"""
