"""How much do the maps depend on the output that is explained?"""
