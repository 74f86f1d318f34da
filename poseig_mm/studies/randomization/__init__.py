"""Do the maps depend on what was learned?"""
