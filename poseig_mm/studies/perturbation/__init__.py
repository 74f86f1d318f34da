"""Does what the map names matter to the prediction?"""
