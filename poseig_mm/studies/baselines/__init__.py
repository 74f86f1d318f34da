"""How much do the maps depend on where the path begins?"""
